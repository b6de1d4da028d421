// KTO (Ethayarajh et al. 2024, equation 7), for votes on single completions. r = (log pi - log ref)(completion), z an estimate of
// the divergence KL(pi || ref), held constant: weight (1 - sigmoid(beta (r - z))) for a desirable completion,
// weight (1 - sigmoid(beta (z - r))) for an undesirable one.
// TRL 1.13, trl/trainer/kto_trainer.py, KTOTrainer._compute_loss.
// defines: VoteLoss, kto
#pragma once

namespace concord {

struct VoteLoss {
  double loss = 0;
  double d = 0;  // derivative by r
};
VoteLoss kto(double r, double z, double beta, bool desirable);

}  // namespace concord
