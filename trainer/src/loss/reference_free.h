// Losses of the policy alone, on means of log-probabilities over tokens: p = mean log pi(chosen), q = mean log pi(rejected).
// defines: simpo_margin, OddsRatioLoss, odds_ratio
#pragma once

namespace concord {

// simpo. SimPO (Meng et al. 2024, equation 6): cdpo(beta (p - q) - gamma, e).
// TRL 1.13, trl/experimental/cpo/cpo_trainer.py, CPOTrainer.cpo_loss, with cpo_alpha = rpo_alpha.
inline double simpo_margin(double p, double q, double beta, double gamma) { return beta * (p - q) - gamma; }

// orpo. ORPO (Hong et al. 2024, equations 4, 6 and 7): NLL(chosen) - beta log sigmoid(log odds ratio), where the odds of a completion
// are P / (1 - P) and log P is the mean over its tokens, so that the log odds ratio is (p - q) - (log(1 - exp p) - log(1 - exp q)).
// TRL 1.13, trl/experimental/orpo/orpo_trainer.py, ORPOTrainer.odds_ratio_loss, with the same beta; but its NLL runs over prompt
// and completion, ours over the completion. This is the second term alone.
struct OddsRatioLoss {
  double loss = 0;
  double d_chosen = 0, d_rejected = 0;  // derivatives by p and q
  double log_odds = 0;
};
OddsRatioLoss odds_ratio(double p, double q, double beta);

}  // namespace concord
