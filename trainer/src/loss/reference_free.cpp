#include "loss/reference_free.h"

#include <algorithm>
#include <cmath>

#include "loss/logistic.h"

namespace concord {
namespace {

// At P = 1 the odds are infinite. A mean this close to 0 is beyond what float32 log-probabilities tell apart, and the
// derivative is already its limit there.
constexpr double kMeanMax = -1e-12;

// log(1 - exp p) without cancellation (Maechler 2012).
double log1mexp(double p) { return p < -std::log(2.0) ? std::log1p(-std::exp(p)) : std::log(-std::expm1(p)); }

}  // namespace

OddsRatioLoss odds_ratio(double p, double q, double beta) {
  p = std::min(p, kMeanMax);
  q = std::min(q, kMeanMax);
  const double x = (p - q) - (log1mexp(p) - log1mexp(q));
  // d/dp of p - log(1 - exp p) is 1 / (1 - exp p).
  const double slope = -beta * sigmoid(-x);
  return {-beta * log_sigmoid(x), slope / -std::expm1(p), slope / std::expm1(q), x};
}

}  // namespace concord
