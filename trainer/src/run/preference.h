// From the log-probabilities of a group's completions to its share of a step's loss.
// defines: StepScale, preference_scale, add_preference_loss
#pragma once

#include <span>

#include "run/dataset.h"
#include "run/step_stats.h"

namespace concord {

// What a step's loss is divided by or compared with, known before its first micro-batch, so that neither micro-batches nor packing
// change it.
struct StepScale {
  double weight = 0;      // sum over target tokens (SFT) or pairs of their weights; number of votes; number of rankings
  double nll_tokens = 0;  // target tokens of the chosen, each pair's with its weight
  double kl = 0;          // kto
};

StepScale preference_scale(const Dataset& data, std::span<const int64_t> groups, const LossOptions& options);

// `logps` and `d` by completion of the group; adds to d the derivative of the step's loss by logps[i].policy.
void add_preference_loss(const TrainGroup& group, std::span<const SequenceLogp> logps, const LossOptions& options, const StepScale& scale,
                         std::span<double> d, StepStats& stats);

}  // namespace concord
