// What kernels share: loads of 16 bytes at a time, sums over warps and blocks, and the two shapes of simple kernels.
// defines: Lanes, load, store, warp_sum, block_sum, elementwise, column_sums
#pragma once

#include <cmath>
#include <cstring>

#include "ops/cuda/launch.h"
#include "ops/ops.h"

namespace concord::ops {

inline constexpr unsigned kWarp = 32, kAllLanes = 0xffffffffu;

// The thread's place in its warp, where a block has one dimension.
__device__ inline int lane_of() { return static_cast<int>(threadIdx.x % kWarp); }

// N neighbouring elements as floats.
template <int N>
struct Lanes {
  float v[N];
};

// p is aligned to N elements.
template <int N, class T>
__device__ inline Lanes<N> load(const T* p) {
  Lanes<N> out;
  if constexpr (N == 1) {
    out.v[0] = static_cast<float>(*p);
  } else {
    constexpr int kPerWord = 16 / sizeof(T);
    static_assert(N % kPerWord == 0);
    for (int w = 0; w < N / kPerWord; w++) {
      const uint4 word = reinterpret_cast<const uint4*>(p)[w];
      T values[kPerWord];
      memcpy(values, &word, sizeof word);
      for (int i = 0; i < kPerWord; i++) out.v[w * kPerWord + i] = static_cast<float>(values[i]);
    }
  }
  return out;
}
template <int N, class T>
__device__ inline void store(T* p, const Lanes<N>& in) {
  if constexpr (N == 1) {
    *p = static_cast<T>(in.v[0]);
  } else {
    constexpr int kPerWord = 16 / sizeof(T);
    for (int w = 0; w < N / kPerWord; w++) {
      T values[kPerWord];
      for (int i = 0; i < kPerWord; i++) values[i] = static_cast<T>(in.v[w * kPerWord + i]);
      uint4 word;
      memcpy(&word, values, sizeof word);
      reinterpret_cast<uint4*>(p)[w] = word;
    }
  }
}

// Elements that a thread takes at a time: eight where rows and their ends are aligned for it, else one.
inline constexpr int kWide = 8;
template <class T>
bool is_wide(const T* p, int64_t stride) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % kWide == 0;
}
template <class... M>
bool are_wide(int64_t cols, const M&... matrices) {
  return cols % kWide == 0 && (is_wide(matrices.data, matrices.stride) && ...);
}

__device__ inline float warp_sum(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(kAllLanes, x, mask);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, mask));
  return x;
}

// Over a block of whole warps in one dimension, in a fixed order; every thread gets it. `warps` is shared memory, a float for each
// warp, which may be used again after the block's next barrier.
template <class F>
__device__ float block_reduce(float x, float* warps, F&& in_warp) {
  const int n = static_cast<int>(blockDim.x / kWarp), lane = lane_of();
  x = in_warp(x);
  if (lane == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  // Lanes beyond the warps repeat the first, so that a maximum stays one; a sum takes them as nothing.
  return in_warp(lane < n ? warps[lane] : in_warp.of_nothing);
}
struct SumInWarp {
  float of_nothing = 0;
  __device__ float operator()(float x) const { return warp_sum(x); }
};
struct MaxInWarp {
  float of_nothing = -INFINITY;
  __device__ float operator()(float x) const { return warp_max(x); }
};
__device__ inline float block_sum(float x, float* warps) { return block_reduce(x, warps, SumInWarp()); }
__device__ inline float block_max(float x, float* warps) { return block_reduce(x, warps, MaxInWarp()); }

template <int N, class F>
__global__ void elementwise_kernel(int64_t rows, int64_t cols, F f) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i >= cols) return;
  for (int64_t t = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; t < rows; t += static_cast<int64_t>(gridDim.y) * blockDim.y)
    f.template apply<N>(t, i);
}

// f.apply<N>(t, i) for every row t and every N columns from i on: N is kWide where `wide`, else 1.
template <class F>
void elementwise(Cuda& cuda, const char* name, bool wide, int64_t rows, int64_t cols, const F& f) {
  constexpr int64_t kThreads = 256, kGridMax = 65'535;
  const int64_t n = wide ? cols / kWide : cols, across = std::min(kThreads, (n + kWarp - 1) / kWarp * kWarp), down = kThreads / std::max<int64_t>(across, 1);
  const dim3 block(static_cast<unsigned>(across), static_cast<unsigned>(down));
  const dim3 grid(blocks_for(n, std::max<int64_t>(across, 1)), static_cast<unsigned>(std::min<int64_t>(kGridMax, blocks_for(rows, down))));
  if (n == 0 || rows == 0) return;
  if (wide) {
    launch(cuda, name, grid, block, 0, elementwise_kernel<kWide, F>, rows, cols, f);
  } else {
    launch(cuda, name, grid, block, 0, elementwise_kernel<1, F>, rows, cols, f);
  }
}

inline constexpr int kColumnRows = 8;  // rows at a time

template <class F>
__global__ void column_sums_kernel(int64_t rows, int64_t cols, F f, float* sums) {
  __shared__ float parts[kColumnRows][kWarp];
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  float sum = 0;
  if (i < cols)
    for (int64_t t = threadIdx.y; t < rows; t += kColumnRows) sum += f(t, i);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || i >= cols) return;
  for (int y = 1; y < kColumnRows; y++) sum += parts[y][threadIdx.x];
  sums[i] += sum;
}

// sums[i] += sum over rows t of f(t, i), in a fixed order.
template <class F>
void column_sums(Cuda& cuda, const char* name, int64_t rows, int64_t cols, const F& f, float* sums) {
  launch(cuda, name, dim3(blocks_for(cols, kWarp)), dim3(kWarp, kColumnRows), 0, column_sums_kernel<F>, rows, cols, f, sums);
}

}  // namespace concord::ops
