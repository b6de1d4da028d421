// What a step reports beside its gradients.
// defines: StepStats
#pragma once

#include <optional>
#include <string>

#include "io/json.h"
#include "loss/pair.h"
#include "ranks/communicator.h"

namespace concord {

// Sums over a step; averages are taken over all of its pairs or votes whatever the micro-batches were.
struct StepStats {
  double loss = 0;
  int64_t tokens = 0;                  // through the layers
  int64_t pairs = 0;                   // compared; a ranking compares every two completions of different tiers
  int64_t chosen = 0, rejected = 0;    // completions: both sides of each pair, or desirable and undesirable votes
  double rewards_chosen = 0, rewards_rejected = 0, accurate = 0;
  double logps_chosen = 0, logps_rejected = 0;
  std::optional<double> nll_loss;      // mean over the tokens of the chosen, where the loss has this term
  std::optional<double> log_odds_ratio, log_odds_chosen;  // orpo
  std::optional<double> kl;            // kto

  void add_chosen(const SequenceLogp& logp, const LossOptions& options);
  void add_rejected(const SequenceLogp& logp, const LossOptions& options);
  void add_pair(const PairLogps& pair, const LossOptions& options);

  // Of all ranks, each of which has those of its share.
  void add_up(Communicator& ranks);

  // Adds `<prefix>rewards/chosen` and so on, TRL's names, what there was of each.
  void append_dpo(Json::Object& fields, const std::string& prefix) const;
};

}  // namespace concord
