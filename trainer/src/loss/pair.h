// A preference pair: log-probabilities of two completions in, loss and derivatives out.
// defines: SequenceLogp, PairLogps, PairLoss, pair_loss, implicit_reward
#pragma once

#include "loss/loss_type.h"

namespace concord {

struct SequenceLogp {
  double policy = 0;     // sum over the completion's target tokens
  double reference = 0;  // the same under the reference; 0 where a loss has none
  double tokens = 1;     // how many they are

  double ratio() const { return policy - reference; }
  double mean() const { return policy / tokens; }
  double mean_ratio() const { return ratio() / tokens; }
};

struct PairLogps {
  SequenceLogp chosen, rejected;
};

struct PairLoss {
  double loss = 0;
  double d_chosen = 0, d_rejected = 0;  // derivatives by chosen.policy and rejected.policy
};

// Dispatches on options.type, a loss of pairs.
PairLoss pair_loss(const PairLogps& pair, const LossOptions& options);

// TRL's rewards/chosen and rewards/rejected: beta (log pi - log reference), or beta times the mean log pi of a
// reference-free loss.
double implicit_reward(const SequenceLogp& logp, const LossOptions& options);

}  // namespace concord
