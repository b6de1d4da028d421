#include "loss/dpo.h"

#include <cmath>

namespace concord {
namespace {

// log sigmoid(x) without overflow at either end.
double log_sigmoid(double x) { return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }
double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

}  // namespace

PairLoss dpo_sigmoid(const PairLogps& p, double beta, double smoothing) {
  const double x = beta * ((p.chosen - p.rejected) - (p.reference_chosen - p.reference_rejected));
  // d/dx of -log sigmoid(x) is -sigmoid(-x); of -log sigmoid(-x) it is sigmoid(x).
  const double dx = -(1 - smoothing) * sigmoid(-x) + smoothing * sigmoid(x);
  return {-(1 - smoothing) * log_sigmoid(x) - smoothing * log_sigmoid(-x), beta * dx, -beta * dx};
}

PairRewards dpo_rewards(const PairLogps& p, double beta) {
  return {beta * (p.chosen - p.reference_chosen), beta * (p.rejected - p.reference_rejected)};
}

}  // namespace concord
