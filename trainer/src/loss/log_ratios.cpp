#include "loss/log_ratios.h"

#include "loss/logistic.h"

namespace concord {

RatioLoss apo_zero(double a, double b) { return {sigmoid(-a) + sigmoid(b), -sigmoid_slope(a), sigmoid_slope(b)}; }

RatioLoss apo_down(double a, double b) {
  const double margin = sigmoid_slope(a - b);
  return {sigmoid(a) + sigmoid(b - a), sigmoid_slope(a) - margin, margin};
}

RatioLoss sppo_hard(double c, double r, double beta) {
  const double winner = c - 0.5 / beta, loser = r + 0.5 / beta;
  return {winner * winner + loser * loser, 2 * winner, 2 * loser};
}

RatioLoss nca_pair(double a, double b) {
  return {-log_sigmoid(a) - 0.5 * log_sigmoid(-a) - 0.5 * log_sigmoid(-b), -sigmoid(-a) + 0.5 * sigmoid(a), 0.5 * sigmoid(b)};
}

}  // namespace concord
