#include "loss/margin.h"

#include <algorithm>

#include "loss/logistic.h"

namespace concord {

MarginLoss cdpo(double x, double e) {
  return {-(1 - e) * log_sigmoid(x) - e * log_sigmoid(-x), -(1 - e) * sigmoid(-x) + e * sigmoid(x)};
}

MarginLoss robust(double x, double e) {
  const double scale = 1 / (1 - 2 * e);
  return {scale * (-(1 - e) * log_sigmoid(x) + e * log_sigmoid(-x)), scale * (-(1 - e) * sigmoid(-x) - e * sigmoid(x))};
}

MarginLoss hinge(double x) { return {std::max(0.0, 1 - x), x < 1 ? -1.0 : 0.0}; }

MarginLoss ipo(double m, double beta) {
  const double off = m - 1 / (2 * beta);
  return {off * off, 2 * off};
}

// q' = q (1 - q), and the derivatives of the two logarithms cancel.
MarginLoss exo_pair(double x, double e) {
  const double log_odds = std::log1p(-e) - std::log(e);
  const double loss = sigmoid(x) * (log_sigmoid(x) - std::log1p(-e)) + sigmoid(-x) * (log_sigmoid(-x) - std::log(e));
  return {loss, sigmoid_slope(x) * (x - log_odds)};
}

// s exp(-x) is taken as one exponential: far below 0, exp(-x) alone overflows while the product is small.
MarginLoss discopop(double x, double tau) {
  const double s = sigmoid(x / tau), rest = sigmoid(-x / tau);
  const double exponential = std::exp(log_sigmoid(x / tau) - x), logistic = -log_sigmoid(x);
  return {rest * logistic + exponential,
          -s * rest / tau * logistic - rest * sigmoid(-x) + exponential * (rest / tau - 1)};
}

}  // namespace concord
