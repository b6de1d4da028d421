// Tiles of shared memory and products on tensor cores, for attention. A warp owns 16 rows of a product: `acc[j]` holds its columns
// 8 j to 8 j + 7, spread over the warp as ptx::mma says.
#pragma once

#include <limits>

#include "ops/cuda/attention.h"
#include "ops/cuda/ptx.h"

namespace concord::ops {

inline constexpr int kWarpRows = 16;
inline constexpr float kLog2e = 1.44269504088896341f, kLn2 = 0.69314718055994531f;

// Rows of D elements. Eight more between rows put eight rows at a column into different banks, for every D here.
template <int D>
struct SharedTile {
  static constexpr int kStride = D + 8;
  static constexpr int bytes(int rows) { return rows * kStride * static_cast<int>(sizeof(Bf16)); }

  Bf16* data;
  __device__ Bf16* at(int row, int col) const { return data + row * kStride + col; }
  __device__ SharedTile rows_from(int row) const { return {at(row, 0)}; }

  // Starts to fill rows [0, n) from source(row), a row's D elements in global memory, or with zeros where that is null. `any` is a
  // valid address.
  template <int kThreads, class F>
  __device__ void start_fill(int n, const Bf16* any, F&& source) const {
    constexpr int kPieces = D / 8;
    for (int piece = threadIdx.x; piece < n * kPieces; piece += kThreads) {
      const int row = piece / kPieces, col = piece % kPieces * 8;
      const Bf16* from = source(row);
      ptx::copy_async(at(row, col), from ? from + col : any, from != nullptr);
    }
  }
};

__device__ inline int lane_of() { return static_cast<int>(threadIdx.x % kWarp); }

// Starts to fill a stage of the key and value tiles with keys [block kBlock, (block + 1) kBlock) of a tile, and zeros behind its last.
template <int kThreads, int kBlock, int kStages, int D>
__device__ void start_key_block(int block, const AttentionTile& tile, Mat<const Bf16> qkv, const HeadColumns& at, SharedTile<D> k_tiles,
                                SharedTile<D> v_tiles) {
  const int keys = static_cast<int>(tile.keys()), stage = block % kStages * kBlock;
  const auto source = [&](int64_t col) {
    return [&, col](int row) { return block * kBlock + row < keys ? qkv.row(tile.key_row(block * kBlock + row)) + col : nullptr; };
  };
  k_tiles.rows_from(stage).template start_fill<kThreads>(kBlock, qkv.data, source(at.k));
  v_tiles.rows_from(stage).template start_fill<kThreads>(kBlock, qkv.data, source(at.v));
}

// acc[16, N] += a[16, D] b[N, D]^T
template <int N, int D>
__device__ void add_product_nt(float (&acc)[N / 8][4], SharedTile<D> a, SharedTile<D> b) {
  const int lane = lane_of();
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    uint32_t of_a[4];
    ptx::ldmatrix(of_a, a.at(lane % 16, k + lane / 16 * 8));
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      uint32_t of_b[4];
      ptx::ldmatrix(of_b, b.at(n + lane % 8 + lane / 16 * 8, k + lane / 8 % 2 * 8));
      ptx::mma(acc[n / 8], of_a, of_b[0], of_b[1]);
      ptx::mma(acc[n / 8 + 1], of_a, of_b[2], of_b[3]);
    }
  }
}

// acc[16, N] += x[16, K] b[K, N], where b is the columns from `col` on of a tile and x a product's result, rounded.
template <int N, int K, int D>
__device__ void add_product_nn(float (&acc)[N / 8][4], const float (&x)[K / 8][4], SharedTile<D> b, int col) {
  const int lane = lane_of();
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    // Two neighbouring results of 8 columns lie in registers as one factor of 16 does.
    const auto &low = x[k / 8], &high = x[k / 8 + 1];
    const uint32_t of_x[4] = {ptx::pack(low[0], low[1]), ptx::pack(low[2], low[3]), ptx::pack(high[0], high[1]), ptx::pack(high[2], high[3])};
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      uint32_t of_b[4];
      ptx::ldmatrix_transposed(of_b, b.at(k + lane % 16, col + n + lane / 16 * 8));
      ptx::mma(acc[n / 8], of_x, of_b[0], of_b[1]);
      ptx::mma(acc[n / 8 + 1], of_x, of_b[2], of_b[3]);
    }
  }
}

// Row and column, within the warp's 16 rows, of element e of acc[j].
__device__ inline int row_of(int e) { return lane_of() / 4 + 8 * (e / 2); }
__device__ inline int col_of(int j, int e) { return 8 * j + 2 * (lane_of() % 4) + e % 2; }

// Rows [0, n) of the warp's results, times `factor` of each of the thread's two rows, from column `col` of to(row) on.
template <int N, class F>
__device__ void store_rows(const float (&acc)[N / 8][4], const float (&factor)[2], int n, F&& to) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = row_of(2 * half);
    if (row >= n) continue;
    Bf16* out = to(row);
#pragma unroll
    for (int j = 0; j < N / 8; j++)
      *reinterpret_cast<uint32_t*>(out + col_of(j, 0)) = ptx::pack(acc[j][2 * half] * factor[half], acc[j][2 * half + 1] * factor[half]);
  }
}

// Over the four threads that share a row.
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(kAllLanes, x, 1);
  return x + __shfl_xor_sync(kAllLanes, x, 2);
}
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}

// f(std::integral_constant) for the head sizes that have kernels; false for others, and for rows that copies of 16 bytes cannot read.
template <class F>
bool for_head_size(Mat<const Bf16> qkv, int64_t head_dim, F&& f) {
  if (!is_wide(qkv.data, qkv.stride)) return false;
  switch (head_dim) {
    case 64: f(std::integral_constant<int, 64>()); return true;
    case 96: f(std::integral_constant<int, 96>()); return true;
    case 128: f(std::integral_constant<int, 128>()); return true;
    case 256: f(std::integral_constant<int, 256>()); return true;
    default: return false;
  }
}

}  // namespace concord::ops
