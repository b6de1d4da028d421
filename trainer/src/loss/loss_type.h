// The preference losses: what each is called, what it reads, and which options it takes.
// defines: LossType, LossOptions, LossSpec, loss_specs, loss_spec
#pragma once

#include <optional>
#include <span>

namespace concord {

enum class LossType {
  sigmoid, robust, hinge, ipo, sigmoid_norm, exo_pair, discopop,  // of the margin between two log-ratios: loss/margin.h
  apo_zero, apo_down, sppo_hard, nca_pair,                        // of each log-ratio by itself: loss/log_ratios.h
  simpo, orpo,                                                    // of the policy alone: loss/reference_free.h
  kto,                                                            // of single votes: loss/kto.h
  plackett_luce                                                   // of whole rankings: loss/plackett_luce.h
};

// What of a group a job learns from.
enum class Signal { completions, pairs, labels, tiers };

struct LossOptions {
  LossType type = LossType::sigmoid;
  double beta = 0.1;
  double label_smoothing = 0;
  std::optional<double> rpo_alpha;  // weight of the negative log-likelihood of the chosen
  double simpo_gamma = 0.5;
  double discopop_tau = 0.05;
  double desirable_weight = 1, undesirable_weight = 1;
};

struct LossSpec {
  LossType type;
  const char* name;
  Signal signal = Signal::pairs;
  bool reference = true;     // compares with a reference model
  bool mean_logps = false;   // its rewards are of means over tokens, not of sums
  bool label_smoothing = false, rpo_alpha = true;
  bool simpo_gamma = false, discopop_tau = false, vote_weights = false;  // desirable_weight, undesirable_weight
};

std::span<const LossSpec> loss_specs();
const LossSpec& loss_spec(LossType type);

// Weight of the negative log-likelihood of the chosen completions in the loss; 0 where there is no such term.
double nll_weight(const LossOptions& options);

}  // namespace concord
