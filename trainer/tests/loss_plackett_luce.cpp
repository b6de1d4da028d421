// The likelihood of a ranking with ties against brute force: every order of the items that the tiers allow.
#include <algorithm>
#include <numeric>

#include "loss/pair.h"
#include "loss/plackett_luce.h"
#include "numeric.h"

using namespace concord;

namespace {

using Tiers = std::vector<int32_t>;

// Probability that the items leave in this order.
double probability(const std::vector<double>& scores, const std::vector<size_t>& order) {
  double p = 1;
  for (size_t first = 0; first < order.size(); first++) {
    double sum = 0;
    for (size_t j = first; j < order.size(); j++) sum += std::exp(scores[order[j]]);
    p *= std::exp(scores[order[first]]) / sum;
  }
  return p;
}

double brute_force(const std::vector<double>& scores, const Tiers& tiers) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  double sum = 0;
  do {
    if (std::is_sorted(order.begin(), order.end(), [&](size_t x, size_t y) { return tiers[x] < tiers[y]; })) sum += probability(scores, order);
  } while (std::next_permutation(order.begin(), order.end()));
  return -std::log(sum);
}

// Every assignment of K items to tiers 0 .. K - 1, gaps included.
std::vector<Tiers> all_tiers(int64_t k) {
  std::vector<Tiers> all = {{}};
  for (int64_t i = 0; i < k; i++) {
    std::vector<Tiers> longer;
    for (const Tiers& t : all)
      for (int32_t tier = 0; tier < k; tier++) {
        longer.push_back(t);
        longer.back().push_back(tier);
      }
    all = longer;
  }
  return all;
}

double loss(const std::vector<double>& scores, const Tiers& tiers) {
  std::vector<double> d(scores.size());
  return plackett_luce(scores, tiers, d);
}

}  // namespace

TEST("brute force at K = 2, 3, 4 and 5, every way of tying, and the gradient of each") {
  Numbers numbers;
  for (const int64_t k : {2, 3, 4, 5}) {
    std::vector<double> scores = numbers.vector(k, 2);
    for (const Tiers& tiers : all_tiers(k)) {
      CHECK_NEAR(loss(scores, tiers), brute_force(scores, tiers), 1e-12);
      std::vector<double> d(scores.size());
      plackett_luce(scores, tiers, d);
      CHECK_NEAR(std::accumulate(d.begin(), d.end(), 0.0), 0, 1e-12);  // only differences of scores matter
      if (*std::max_element(tiers.begin(), tiers.end()) > *std::min_element(tiers.begin(), tiers.end()))
        check_gradient("plackett_luce", scores, d, [&] { return loss(scores, tiers); }, 1e-8);
    }
  }
}

TEST("two items: DPO's loss, value and derivatives") {
  LossOptions options;
  options.beta = 0.3;
  const PairLogps pair{{-3, -4.5, 1}, {-7, -6.5, 1}};
  const std::vector<double> scores = {implicit_reward(pair.rejected, options), implicit_reward(pair.chosen, options)};
  std::vector<double> d(2);
  CHECK_NEAR(plackett_luce(scores, Tiers{5, 2}, d), pair_loss(pair, options).loss, 1e-15);
  CHECK_NEAR(options.beta * d[1], pair_loss(pair, options).d_chosen, 1e-15);
  CHECK_NEAR(options.beta * d[0], pair_loss(pair, options).d_rejected, 1e-15);
}

TEST("equal scores: minus the logarithm of the number of allowed orders over all orders") {
  CHECK_NEAR(loss({1, 1, 1, 1}, {0, 1, 2, 3}), std::log(24.0), 1e-14);
  CHECK_NEAR(loss({1, 1, 1, 1}, {0, 0, 1, 1}), std::log(24.0 / 4), 1e-14);
  CHECK_NEAR(loss({1, 1, 1, 1}, {0, 0, 0, 0}), 0, 1e-15);
  CHECK_NEAR(loss(std::vector<double>(8, -2.0), {0, 0, 0, 0, 0, 1, 1, 1}), std::log(56.0), 1e-12);
}

TEST("one best of many is the softmax of its score") {
  const std::vector<double> scores = {0.4, -1, 2, 0.1};
  double sum = 0;
  for (const double s : scores) sum += std::exp(s);
  CHECK_NEAR(loss(scores, {0, 1, 1, 1}), std::log(sum) - 0.4, 1e-14);
}

TEST("scores of any size: no overflow, and what is certain costs nothing") {
  CHECK_NEAR(loss({1e4, 0, -1e4}, {0, 1, 2}), 0, 1e-12);
  CHECK_NEAR(loss({-1e4, 0, 1e4}, {0, 1, 2}), 3e4, 1e-6);
  CHECK_NEAR(loss({1e4, 1e4, -1e4}, {0, 0, 1}), 0, 1e-12);
  std::vector<double> scores = {-1e3, 5e3, 1e3, 0}, d(4);
  CHECK(std::isfinite(plackett_luce(scores, Tiers{0, 0, 1, 2}, d)));
  for (const double v : d) CHECK(std::isfinite(v));
}

TEST("the largest tie: exact where all scores are equal") {
  std::vector<double> scores(tied_max + 1, 0.5), d(tied_max + 1);
  Tiers tiers(tied_max + 1, 0);
  tiers.back() = 1;
  CHECK_NEAR(plackett_luce(scores, tiers, d), std::log(static_cast<double>(tied_max + 1)), 1e-9);
  CHECK_NEAR(d.back(), -static_cast<double>(tied_max) * d[0], 1e-9);
}
