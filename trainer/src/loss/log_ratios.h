// Losses of each log-ratio by itself, which see not only the margin but whether a completion gained or lost probability.
// c = (log pi - log ref)(chosen), r = (log pi - log ref)(rejected); a = beta c, b = beta r.
// Checked against TRL 1.13, trl/trainer/dpo_trainer.py, DPOTrainer._compute_loss.
// defines: RatioLoss, apo_zero, apo_down, sppo_hard, nca_pair
#pragma once

namespace concord {

struct RatioLoss {
  double loss = 0;
  double d_chosen = 0, d_rejected = 0;  // derivatives by the two arguments
};

// APO (D'Oosterlinck et al. 2024). Zero (equation 7), where the chosen are better than what the model writes:
// 1 - sigmoid(a) + sigmoid(b). Down (equation 8), where they are worse: sigmoid(a) + 1 - sigmoid(a - b).
RatioLoss apo_zero(double a, double b);
RatioLoss apo_down(double a, double b);

// SPPO with hard labels (Wu et al. 2024, equation 4.7 with P = 1 for the winner and 0 for the loser):
// (c - 1 / (2 beta))^2 + (r + 1 / (2 beta))^2.
RatioLoss sppo_hard(double c, double r, double beta);

// NCA for pairs (Chen et al. 2024): -log sigmoid(a) - 1/2 log sigmoid(-a) - 1/2 log sigmoid(-b).
RatioLoss nca_pair(double a, double b);

}  // namespace concord
