// Losses of the margin between two log-ratios. Throughout x = beta ((log pi - log ref)(chosen) - (log pi - log ref)(rejected))
// and e = label_smoothing. The code they are checked against is TRL 1.13, trl/trainer/dpo_trainer.py, DPOTrainer._compute_loss.
// defines: MarginLoss, cdpo, robust, hinge, ipo, exo_pair, discopop
#pragma once

namespace concord {

struct MarginLoss {
  double loss = 0;
  double d = 0;  // derivative by the margin
};

// sigmoid. DPO (Rafailov et al. 2023, equation 7): -log sigmoid(x); with e > 0 cDPO (Mitchell 2023):
// -(1 - e) log sigmoid(x) - e log sigmoid(-x). TRL up to 0.28 has e as here; from 0.29 on it ignores e in "sigmoid".
MarginLoss cdpo(double x, double e);

// robust. rDPO (Chowdhury et al. 2024): [-(1 - e) log sigmoid(x) + e log sigmoid(-x)] / (1 - 2e), e < 1/2:
// without bias where a fraction e of the labels is flipped.
MarginLoss robust(double x, double e);

// hinge. SLiC-HF (Zhao et al. 2023) on DPO's margin: max(0, 1 - x).
MarginLoss hinge(double x);

// ipo. IPO (Azar et al. 2024, equation 17) on means over tokens, as its authors run it: (m - 1 / (2 beta))^2, where m is the
// margin between the two log-ratios each divided by its number of tokens.
MarginLoss ipo(double m, double beta);

// exo_pair. EXO-pref (Ji et al. 2024, equation 16) for two: the Kullback-Leibler divergence from (1 - e, e) of (q, 1 - q),
// q = sigmoid(x): q (log q - log(1 - e)) + (1 - q) (log(1 - q) - log e), e > 0.
MarginLoss exo_pair(double x, double e);

// discopop. DiscoPOP's log-ratio modulated loss (Lu et al. 2024, equation 5): with s = sigmoid(x / tau),
// (1 - s) (-log sigmoid(x)) + s exp(-x).
MarginLoss discopop(double x, double tau);

}  // namespace concord
