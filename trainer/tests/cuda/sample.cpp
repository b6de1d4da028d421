// Sampling on the CUDA backend beside the CPU's: which tokens are left, and how often each is drawn when `uniform` walks evenly through
// [0, 1). In what order they are drawn is the device's own.
#include <limits>
#include <map>
#include <set>

#include "twin.h"

using namespace twin;

namespace {

constexpr int kDraws = 60;
const float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

template <class Device>
std::vector<int32_t> drawn(Device& device, const std::vector<float>& logits, const std::vector<int32_t>& seen, const SamplingOptions& options,
                           const std::vector<double>& uniforms) {
  std::vector<SeenToken> penalized;
  for (const int32_t id : std::set(seen.begin(), seen.end())) penalized.push_back({1, id, static_cast<float>(options.repetition_penalty)});
  std::vector<Draw> draws;
  for (const double uniform : uniforms) draws.push_back({1, uniform, options});
  // The row in use is the second; the first would be drawn otherwise.
  const auto n = static_cast<int64_t>(logits.size());
  std::vector<float> rows(logits.size(), 0.0f);
  rows[0] = 100;
  rows.insert(rows.end(), logits.begin(), logits.end());
  typename Device::template Buffer<float> values(2 * n);
  typename Device::template Buffer<SeenToken> seen_copy(static_cast<int64_t>(penalized.size()));
  typename Device::template Buffer<Draw> draws_copy(static_cast<int64_t>(draws.size()));
  typename Device::template Buffer<int32_t> tokens_copy(static_cast<int64_t>(draws.size()));
  device.write(std::span<const float>(rows), values.data());
  const Mat<float> all(values.data(), 2, n);
  std::vector<int32_t> tokens(draws.size());
  int32_t* const to = device.landing(tokens.data(), tokens_copy.data());
  ops::penalize(device, device.place(std::span<const SeenToken>(penalized), seen_copy.data()), all);
  ops::sample(device, all, device.place(std::span<const Draw>(draws), draws_copy.data()), to);
  device.fetch(to, tokens.data(), static_cast<int64_t>(tokens.size()));
  return tokens;
}

std::map<int32_t, int> counted(const std::vector<int32_t>& tokens) {
  std::map<int32_t, int> counts;
  for (const int32_t id : tokens) counts[id]++;
  return counts;
}

void compare(const std::vector<float>& logits, const SamplingOptions& options) {
  const std::vector<int32_t> seen = {3, 17, 3, 39, 0};
  std::vector<double> uniforms;
  for (int i = 0; i < kDraws; i++) uniforms.push_back((i + 0.5) / kDraws);
  std::map<int32_t, int> want = counted(drawn(cpu(), logits, seen, options, uniforms)), got = counted(drawn(cuda(), logits, seen, options, uniforms));
  for (const auto& [id, n] : got) want.try_emplace(id, 0);
  // A stretch of the walk as long as a token's share holds that many steps, and one more or less.
  for (const auto& [id, n] : want)
    if (std::abs(n - got[id]) > 1)
      throw std::runtime_error("token " + std::to_string(id) + " is drawn " + std::to_string(got[id]) + " times, by the CPU " + std::to_string(n));
}

std::vector<float> random_logits(int64_t n, double scale) {
  std::vector<float> logits;
  for (int64_t i = 0; i < n; i++) logits.push_back(static_cast<float>(scale * (2 * draw().uniform() - 1)));
  return logits;
}

int32_t one(const SamplingOptions& options, const std::vector<float>& logits, double uniform = 0.5) { return drawn(cuda(), logits, {}, options, {uniform}).front(); }

}  // namespace

TEST("draws what the CPU draws, as often") {
  for (const SamplingOptions& options : std::vector<SamplingOptions>{{},
                                                                     {.temperature = 0},
                                                                     {.temperature = 0.3},
                                                                     {.top_k = 1},
                                                                     {.top_k = 7},
                                                                     {.top_k = 1000},
                                                                     {.top_p = 0.9},
                                                                     {.top_p = 0},
                                                                     {.min_p = 0.1},
                                                                     {.min_p = 1},
                                                                     {.repetition_penalty = 1.5},
                                                                     {.temperature = 0.8, .top_p = 0.8, .top_k = 12, .min_p = 0.05, .repetition_penalty = 1.2},
                                                                     {.temperature = 1.7, .top_p = 0.6, .top_k = 5, .min_p = 0.3}})
    compare(random_logits(40, 4), options);
}

TEST("from a vocabulary of many stretches") {
  const std::vector<float> logits = random_logits(3001, 8);
  for (const SamplingOptions& options : std::vector<SamplingOptions>{{.temperature = 0.5}, {.top_k = 50}, {.top_p = 0.7, .min_p = 0.01}}) compare(logits, options);
}

TEST("greedy takes the smaller id of equals") {
  CHECK_EQ(one({.temperature = 0}, {0, 3, 3, 1}), 1);
  CHECK_EQ(one({.temperature = 0}, std::vector<float>(700, -1.0f)), 0);
}

TEST("extremes of the draw and of the options stay inside the candidates") {
  const std::vector<float> logits = {1, 2, 3, -40};
  const double last = std::nextafter(1.0, 0.0);
  CHECK_EQ(one({}, logits, 0), 0);
  CHECK_EQ(one({}, logits, last), 2);  // the fourth's share is smaller than a float's last place
  for (const double uniform : {0.0, 0.5, last}) CHECK_EQ(one({.temperature = 1e-300}, logits, uniform), 2);
  CHECK_EQ(one({.top_k = 2}, logits, last), 2);
  CHECK_EQ(one({}, {5}, last), 0);
  for (const double keep : {0.0, 1e-12, 0.999999}) CHECK(one({.top_p = keep}, std::vector<float>(1000, 0.1f), last) >= 0);
}

TEST("minus infinity is never drawn; NaN, or nothing finite, is no token") {
  for (const double uniform : {0.0, 0.3, 0.999999}) CHECK_EQ(one({}, {-kInfinity, 1, -kInfinity}, uniform), 1);
  for (const double temperature : {0.0, 1.0}) {
    CHECK_EQ(one({.temperature = temperature}, {0, kNan, 1}), -1);
    CHECK_EQ(one({.temperature = temperature}, {-kInfinity, -kInfinity}), -1);
    CHECK_EQ(one({.temperature = temperature}, {0, kInfinity}), -1);
  }
}
