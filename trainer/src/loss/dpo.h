// Losses of a preference pair, as functions of four sequence log-probabilities.
#pragma once

namespace concord {

struct PairLogps {
  double chosen = 0, rejected = 0;                      // of the policy
  double reference_chosen = 0, reference_rejected = 0;  // of the reference
};

struct PairLoss {
  double loss = 0;
  double d_chosen = 0, d_rejected = 0;  // derivatives by PairLogps::chosen and ::rejected
};

// DPO (Rafailov et al. 2023, equation 7) with cDPO's smoothing (Mitchell 2023): with
// delta = (chosen - rejected) - (reference_chosen - reference_rejected),
// loss = -(1 - e) log sigmoid(beta delta) - e log sigmoid(-beta delta).
PairLoss dpo_sigmoid(const PairLogps& logps, double beta, double label_smoothing);

// Implicit rewards of a pair, beta (log pi - log reference).
struct PairRewards {
  double chosen = 0, rejected = 0;
};
PairRewards dpo_rewards(const PairLogps& logps, double beta);

}  // namespace concord
