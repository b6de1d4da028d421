// The sampler against transformers' logits processors written out plainly: what is left after each, and how often a
// candidate is drawn when `uniform` walks evenly through [0, 1).
#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "check.h"
#include "model/random.h"
#include "ops/ops.h"

using namespace concord;

namespace {

constexpr double removed = -std::numeric_limits<double>::infinity();

std::vector<double> softmax(const std::vector<double>& scores) {
  const double top = *std::max_element(scores.begin(), scores.end());
  std::vector<double> p;
  double sum = 0;
  for (const double s : scores) sum += p.emplace_back(std::exp(s - top));
  for (double& v : p) v /= sum;
  return p;
}

void top_k(std::vector<double>& scores, int64_t k) {
  if (k == 0 || k >= static_cast<int64_t>(scores.size())) return;
  std::vector<double> sorted = scores;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (double& s : scores)
    if (s < sorted[k - 1]) s = removed;
}

// Ascending, drops what lies within the first 1 - top_p, never the best.
void top_p(std::vector<double>& scores, double keep) {
  if (keep >= 1) return;
  const std::vector<double> p = softmax(scores);
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return scores[x] < scores[y]; });
  double sum = 0;
  for (size_t i = 0; i + 1 < order.size(); i++)
    if ((sum += p[order[i]]) <= 1 - keep) scores[order[i]] = removed;
}

void min_p(std::vector<double>& scores, double share) {
  const std::vector<double> p = softmax(scores);
  const double floor = share * *std::max_element(p.begin(), p.end());
  for (size_t i = 0; i < p.size(); i++)
    if (p[i] < floor) scores[i] = removed;
}

std::vector<double> expected(const std::vector<float>& logits, const std::vector<int32_t>& seen, const SamplingOptions& o) {
  std::vector<double> scores(logits.begin(), logits.end());
  for (size_t i = 0; i < scores.size(); i++)
    if (std::find(seen.begin(), seen.end(), static_cast<int32_t>(i)) != seen.end())
      scores[i] = scores[i] < 0 ? scores[i] * o.repetition_penalty : scores[i] / o.repetition_penalty;
  for (double& s : scores) s /= o.temperature;
  top_k(scores, o.top_k);
  top_p(scores, o.top_p);
  min_p(scores, o.min_p);
  return softmax(scores);
}

// What is drawn of one row of logits by each of these numbers.
std::vector<int32_t> tokens(std::vector<float> logits, const std::vector<int32_t>& seen, const SamplingOptions& options, const std::vector<double>& uniforms) {
  static Cpu cpu(1);
  const Mat<float> row(logits.data(), 1, static_cast<int64_t>(logits.size()));
  std::vector<SeenToken> penalized;
  for (const int32_t id : std::set(seen.begin(), seen.end())) penalized.push_back({0, id, static_cast<float>(options.repetition_penalty)});
  ops::penalize(cpu, penalized, row);
  std::vector<Draw> draws;
  for (const double uniform : uniforms) draws.push_back({0, uniform, options});
  std::vector<int32_t> drawn(draws.size());
  ops::sample(cpu, row, draws, drawn.data());
  return drawn;
}

int32_t pick(const SamplingOptions& options, const std::vector<float>& logits, double uniform = 0.5, const std::vector<int32_t>& seen = {}) {
  return tokens(logits, seen, options, {uniform}).front();
}

std::vector<double> drawn(const std::vector<float>& logits, const std::vector<int32_t>& seen, const SamplingOptions& options, int draws) {
  std::vector<double> uniforms, share(logits.size(), 0);
  for (int i = 0; i < draws; i++) uniforms.push_back((i + 0.5) / draws);
  for (const int32_t id : tokens(logits, seen, options, uniforms)) share[id] += 1.0 / draws;
  return share;
}

}  // namespace

TEST("draws what transformers' processors leave, as often as they say") {
  Random random(5, 0);
  const SamplingOptions all[] = {
      {},
      {.temperature = 0.3},
      {.temperature = 2.5},
      {.top_k = 1},
      {.top_k = 7},
      {.top_k = 1000},
      {.top_p = 0.9},
      {.top_p = 0.05},
      {.top_p = 0},
      {.min_p = 0.1},
      {.min_p = 1},
      {.repetition_penalty = 1.5},
      {.repetition_penalty = 0.7},
      {.temperature = 0.8, .top_p = 0.8, .top_k = 12, .min_p = 0.05, .repetition_penalty = 1.2},
      {.temperature = 1.7, .top_p = 0.6, .top_k = 5, .min_p = 0.3},
  };
  for (const SamplingOptions& options : all)
    for (int trial = 0; trial < 5; trial++) {
      std::vector<float> logits;
      for (int i = 0; i < 40; i++) logits.push_back(static_cast<float>(8 * random.uniform() - 4));
      const std::vector<int32_t> seen = {3, 17, 3, 39, 0};
      const int draws = 4000;
      const std::vector<double> got = drawn(logits, seen, options, draws), want = expected(logits, seen, options);
      for (size_t i = 0; i < got.size(); i++) {
        CHECK_NEAR(got[i], want[i], 1.5 / draws);
        if (want[i] == 0) CHECK_EQ(got[i], 0.0);
      }
    }
}

TEST("the order matters: temperature before top-p, top-k before top-p, top-p before min-p") {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  // At temperature 1 the first two reach 0.75; at 4 the three are nearly even, and it takes all of them.
  CHECK_EQ(pick({.top_p = 0.75}, logits, 0.999), 1);
  CHECK_EQ(pick({.temperature = 4, .top_p = 0.75}, logits, 0.999), 2);
  // Of the top 2, renormalised to 0.625 and 0.375, the first alone reaches 0.6; of all three it does not.
  CHECK_EQ(pick({.top_p = 0.6, .top_k = 2}, logits, 0.999), 0);
  CHECK_EQ(pick({.top_p = 0.6}, logits, 0.999), 1);
  CHECK_EQ(pick({.top_p = 0.8, .min_p = 0.5}, logits, 0.999), 1);
}

TEST("greedy takes the best, the smaller id of equals, after the penalty") {
  CHECK_EQ(pick({.temperature = 0}, {0, 3, 3, 1}), 1);
  CHECK_EQ(pick({.temperature = 0}, {-1, -1, -1}), 0);
  CHECK_EQ(pick({.temperature = 0, .repetition_penalty = 2}, {0, 3, 2, 1}, 0.5, {1, 1, 1}), 2);    // 3 / 2, once
  CHECK_EQ(pick({.temperature = 0, .repetition_penalty = 2}, {-1, -1.5}, 0.5, {0}), 1);            // -1 * 2
  CHECK_EQ(pick({.temperature = 0, .repetition_penalty = 0.5}, {1, 0.8f}, 0.5, {1}), 1);           // below 1 rewards
}

TEST("extremes of the draw and of the options stay inside the candidates") {
  const std::vector<float> logits = {1, 2, 3, -40};
  const double last = std::nextafter(1.0, 0.0);
  CHECK_EQ(pick({}, logits, 0), 0);
  for (const double temperature : {1e-300, 1e-9, 1.0, 100.0})
    for (const double uniform : {0.0, 0.5, last}) {
      const int32_t id = pick({.temperature = temperature}, logits, uniform);
      CHECK(id >= 0 && id < 4);
      if (temperature < 1e-8) CHECK_EQ(id, 2);
    }
  CHECK_EQ(pick({.top_k = 2}, logits, last), 1);
  CHECK_EQ(pick({}, {5}, last), 0);
  // All equal: whatever the rounding of an equal share, one is left.
  for (const double keep : {0.0, 1e-12, 0.1, 0.999999})
    CHECK(pick({.top_p = keep}, std::vector<float>(1000, 0.1f), last) >= 0);
}

TEST("minus infinity is never drawn; NaN, or nothing finite, is no token") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const double uniform : {0.0, 0.3, 0.999999}) CHECK_EQ(pick({}, {-inf, 1, -inf}, uniform), 1);
  for (const double temperature : {0.0, 1.0}) {
    CHECK_EQ(pick({.temperature = temperature}, {0, nan, 1}), -1);
    CHECK_EQ(pick({.temperature = temperature}, {nan, 0, 1}), -1);
    CHECK_EQ(pick({.temperature = temperature}, {-inf, -inf}), -1);
    CHECK_EQ(pick({.temperature = temperature}, {0, inf}), -1);
  }
}
