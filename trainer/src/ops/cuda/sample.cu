// From logits to a token (ops/sampling.h), a block for each draw. What top-k and top-p keep is everything above a threshold, which is found
// bit by bit; of equal logits at it all are kept. Sums are added in a fixed order.
#include <bit>
#include <climits>

#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

constexpr unsigned kThreads = 512, kWarps = kThreads / kWarp;
constexpr float kLeastTemperature = 1e-30f;  // its inverse is finite
constexpr float kLargestUniform = 0x1.fffffep-1f;  // a double just below 1 would round to it

// Numbers whose order is that of the floats.
__device__ uint32_t in_order(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// One row of logits, as its block reads it.
struct Row {
  const float* logits;
  int64_t n;
  float* warps;  // shared memory, a float for each warp
  float top = 0, inverse_temperature = 0;

  __device__ float weight(int64_t i) const { return expf((logits[i] - top) * inverse_temperature); }
  // Of f(i) over the row; every thread gets it.
  template <class F>
  __device__ float sum(F&& f) const {
    float own = 0;
    for (int64_t i = threadIdx.x; i < n; i += kThreads) own += f(i);
    const float all = block_sum(own, warps);
    __syncthreads();
    return all;
  }
  template <class F>
  __device__ float max(F&& f) const {
    float own = -INFINITY;
    for (int64_t i = threadIdx.x; i < n; i += kThreads) own = fmaxf(own, f(i));
    const float all = block_max(own, warps);
    __syncthreads();
    return all;
  }
  // The largest t such that those of at least t have `wanted` of f together; 0, which keeps all, where all have less.
  template <class F>
  __device__ uint32_t threshold(float wanted, F&& f) const {
    uint32_t t = 0;
    for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
      const uint32_t higher = t | bit;
      if (sum([&](int64_t i) { return in_order(logits[i]) >= higher ? f(i) : 0; }) >= wanted) t = higher;
    }
    return t;
  }
};

// The i in [begin, end) with the largest f. A warp's.
template <class F>
__device__ int32_t likeliest(int64_t begin, int64_t end, F&& f) {
  float most = -1;
  int best = 0;
  for (int64_t i = begin + lane_of(); i < end; i += kWarp) {
    const float mine = f(i);
    if (mine > most) most = mine, best = static_cast<int>(i);
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, most, mask);
    const int other_best = __shfl_xor_sync(kAllLanes, best, mask);
    if (other > most || (other == most && other_best < best)) most = other, best = other_best;
  }
  return best;
}

// The first i in [begin, end) at which `before` and the running sum of f exceed `wanted`; the likeliest where rounding leaves none. A warp's.
template <class F>
__device__ int32_t first_beyond(int64_t begin, int64_t end, float before, float wanted, F&& f) {
  const int lane = lane_of();
  for (int64_t at = begin; at < end; at += kWarp) {
    const float mine = at + lane < end ? f(at + lane) : 0;
    float running = mine;
    for (int step = 1; step < static_cast<int>(kWarp); step *= 2) {
      const float lower = __shfl_sync(kAllLanes, running, lane < step ? lane : lane - step);
      if (lane >= step) running += lower;
    }
    int first = mine > 0 && before + running > wanted ? lane : INT_MAX;
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const int other = __shfl_xor_sync(kAllLanes, first, mask);
      first = other < first ? other : first;
    }
    if (first != INT_MAX) return static_cast<int32_t>(at) + first;
    before += __shfl_sync(kAllLanes, running, static_cast<int>(kWarp) - 1);
  }
  return likeliest(begin, end, f);
}

// An i with the probability of its share of f's sum. Each warp has a stretch of the row.
template <class F>
__device__ int32_t draw_from(const Row& row, float uniform, F&& f) {
  const int64_t stretch = (row.n + kThreads - 1) / kThreads * kWarp;
  const auto warp = static_cast<int>(threadIdx.x / kWarp);
  const auto end_of = [&](int w) { return (w + 1) * stretch < row.n ? (w + 1) * stretch : row.n; };
  float own = 0;
  for (int64_t i = warp * stretch + lane_of(); i < end_of(warp); i += kWarp) own += f(i);
  own = warp_sum(own);
  if (lane_of() == 0) row.warps[warp] = own;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < static_cast<int>(kWarps); w++) total += row.warps[w];
  const float wanted = uniform * total;
  float before = 0, sum = 0;  // what lies before the chosen warp
  int chosen = 0;
  for (int w = 0; w < static_cast<int>(kWarps) && sum <= wanted; w++) {
    if (row.warps[w] == 0) continue;
    before = sum;
    chosen = w;
    sum += row.warps[w];
  }
  __shared__ int32_t token;
  if (warp == chosen) {
    const int32_t found = first_beyond(warp * stretch, end_of(warp), before, wanted, f);
    if (lane_of() == 0) token = found;
  }
  __syncthreads();
  return token;
}

__device__ int32_t pick(Row row, const SamplingOptions& options, float uniform) {
  if (row.sum([&](int64_t i) { return row.logits[i] == row.logits[i] ? 0.0f : 1.0f; }) > 0) return -1;  // NaN
  row.top = row.max([&](int64_t i) { return row.logits[i]; });
  if (row.top == INFINITY || row.top == -INFINITY) return -1;
  // Ids up to a million are exact.
  if (options.temperature == 0) return static_cast<int32_t>(-row.max([&](int64_t i) { return row.logits[i] == row.top ? -static_cast<float>(i) : -INFINITY; }));
  row.inverse_temperature = 1 / fmaxf(static_cast<float>(options.temperature), kLeastTemperature);
  uint32_t least = 0;
  const auto kept = [&](int64_t i) { return in_order(row.logits[i]) >= least; };
  if (options.top_k > 0 && options.top_k < row.n) least = row.threshold(static_cast<float>(options.top_k), [](int64_t) { return 1.0f; });
  if (options.top_p < 1) {
    const auto weight = [&](int64_t i) { return kept(i) ? row.weight(i) : 0; };
    const uint32_t found = row.threshold(static_cast<float>(options.top_p) * row.sum(weight), weight), best = in_order(row.top);
    if (found > least) least = found < best ? found : best;
  }
  const auto least_weight = static_cast<float>(options.min_p);
  return draw_from(row, uniform, [&](int64_t i) {
    const float w = row.weight(i);
    return kept(i) && w >= least_weight ? w : 0;
  });
}

__global__ void sample_kernel(Mat<const float> logits, const Draw* draws, int32_t* tokens) {
  __shared__ float warps[kWarps];
  const Draw draw = draws[blockIdx.x];
  const int32_t token = pick({logits.row(draw.row), logits.cols, warps}, draw.options, fminf(static_cast<float>(draw.uniform), kLargestUniform));
  if (threadIdx.x == 0) tokens[blockIdx.x] = token;
}

__global__ void penalize_kernel(const SeenToken* seen, int64_t n, Mat<float> logits) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  float& logit = logits.row(seen[i].row)[seen[i].id];
  logit = logit > 0 ? logit / seen[i].penalty : logit * seen[i].penalty;
}

}  // namespace

void penalize(Cuda& cuda, std::span<const SeenToken> seen, Mat<float> logits) {
  const auto n = static_cast<int64_t>(seen.size());
  launch(cuda, "penalize", dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, penalize_kernel, seen.data(), n, logits);
}

void sample(Cuda& cuda, Mat<const float> logits, std::span<const Draw> draws, int32_t* tokens) {
  launch(cuda, "sample", dim3(static_cast<unsigned>(draws.size())), dim3(kThreads), 0, sample_kernel, logits, draws.data(), tokens);
}

}  // namespace concord::ops
