// Supervised loss over completions.
#pragma once

namespace concord {

struct TokenLoss {
  double loss = 0;
  double d_logp = 0;
};

// One token's share of a step's loss: -w logp / W with W the sum of w over all predicted target tokens of the step, so
// that neither micro-batches nor packing change it.
inline TokenLoss sft_token(double logp, double weight, double step_weight) {
  return {-weight * logp / step_weight, -weight / step_weight};
}

}  // namespace concord
