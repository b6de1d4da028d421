#include "loss/plackett_luce.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace concord {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

double log_add(double x, double y) {
  const double high = std::max(x, y);
  return high == kNone ? kNone : high + std::log1p(std::exp(std::min(x, y) - high));
}

// One tie and everything below it. For each subset S of the tie (a bit mask), log_sum[S] is the logarithm of the weight of S and
// all lower items, and log_first[S] that of the probability that the items of S leave before all lower ones:
//   first(empty) = 1,  first(S) = sum over i in S of exp(s_i) / sum(S) * first(S without i).
struct Tie {
  std::vector<int64_t> items;  // indices into scores
  std::vector<double> log_sum, log_first;

  Tie(std::vector<int64_t> tied, std::span<const double> scores, double log_lower) : items(std::move(tied)) {
    const size_t subsets = size_t{1} << items.size();
    log_sum.assign(subsets, log_lower);
    log_first.assign(subsets, 0);
    for (size_t s = 1; s < subsets; s++) {
      const size_t low = s & (~s + 1);
      log_sum[s] = log_add(log_sum[s ^ low], scores[items[static_cast<size_t>(std::countr_zero(low))]]);
      log_first[s] = kNone;
      for (size_t i = 0; i < items.size(); i++)
        if (s >> i & 1) log_first[s] = log_add(log_first[s], step(s, i, scores));
    }
  }

  // log of: i leaves first of S and the lower items, and then the rest of S before the lower items.
  double step(size_t s, size_t i, std::span<const double> scores) const {
    return scores[items[i]] - log_sum[s] + log_first[s ^ size_t{1} << i];
  }

  double loss() const { return -log_first.back(); }

  // reached[S]: probability, given that the tie leaves first, that at some time S is what is left of it. From there, minus the
  // logarithm of the next step falls by the score of who leaves and grows by the share of everyone who could have.
  // Returns the derivative by log_lower.
  double add_gradient(std::span<const double> scores, double log_lower, std::span<double> d) const {
    std::vector<double> reached(log_first.size(), 0.0);
    reached.back() = 1;
    double d_lower = 0;
    for (size_t s = reached.size() - 1; s > 0; s--) {
      for (size_t i = 0; i < items.size(); i++) {
        if (!(s >> i & 1)) continue;
        const double leaves = reached[s] * std::exp(step(s, i, scores) - log_first[s]);
        reached[s ^ size_t{1} << i] += leaves;
        d[items[i]] += reached[s] * std::exp(scores[items[i]] - log_sum[s]) - leaves;
      }
      d_lower += reached[s] * std::exp(log_lower - log_sum[s]);
    }
    return d_lower;
  }
};

}  // namespace

double plackett_luce(std::span<const double> scores, std::span<const int32_t> tiers, std::span<double> d) {
  std::fill(d.begin(), d.end(), 0.0);
  std::vector<int64_t> order(scores.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return tiers[x] > tiers[y]; });  // the last tier first

  double loss = 0, log_lower = kNone;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && tiers[order[end]] == tiers[order[begin]]) end++;
    const std::span<const int64_t> tied = std::span(order).subspan(begin, end - begin);
    if (begin > 0) {
      const Tie tie({tied.begin(), tied.end()}, scores, log_lower);
      loss += tie.loss();
      const double d_lower = tie.add_gradient(scores, log_lower, d);
      for (const int64_t j : std::span(order).first(begin)) d[j] += d_lower * std::exp(scores[j] - log_lower);
    }
    for (const int64_t i : tied) log_lower = log_add(log_lower, scores[i]);
  }
  return loss;
}

}  // namespace concord
