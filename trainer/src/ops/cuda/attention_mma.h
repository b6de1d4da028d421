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

// Starts to fill a stage of the key and value tiles with keys [block kBlock, (block + 1) kBlock) of a tile, and zeros behind its last. `at` has
// the columns k and v of `rows`.
template <int kThreads, int kBlock, int kStages, int D, class Tile, class Columns>
__device__ void start_key_block(int block, const Tile& tile, Mat<const Bf16> rows, const Columns& at, SharedTile<D> k_tiles, SharedTile<D> v_tiles) {
  const int keys = static_cast<int>(tile.keys()), stage = block % kStages * kBlock;
  const auto source = [&](int64_t col) {
    return [&, col](int row) { return block * kBlock + row < keys ? rows.row(tile.key_row(block * kBlock + row)) + col : nullptr; };
  };
  k_tiles.rows_from(stage).template start_fill<kThreads>(kBlock, rows.data, source(at.k));
  v_tiles.rows_from(stage).template start_fill<kThreads>(kBlock, rows.data, source(at.v));
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

// Keys at a time: what leaves shared memory for a second block where the head is small enough, and fits 99 KB anyhow. Two such blocks of keys
// and of values are there, one in use and one on its way.
template <int D>
inline constexpr int kForwardKeys = D == 256 ? 32 : 64;
inline constexpr int kForwardStages = 2;
template <int D>
inline constexpr int kForwardSharedBytes = SharedTile<D>::bytes(kAttentionTileRows + 2 * kForwardStages * kForwardKeys<D>);

// Softmax over the keys seen so far of the thread's two rows: of the warp's rows the sum of 2^(p - top) v, and the thread's share of the sum
// of 2^(p - top). Scores p in units of ln 2.
template <int D>
struct Attended {
  float sum[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
};

// Streams keys [0, keys) past the warp's queries, never storing a score, after FlashAttention-2 (Dao 2023, algorithm 1). start_block(i) starts
// to fill stage i of both tiles with the i-th kBlock keys; sees(half, key) says whether the thread's row sees a key.
template <int D, int kBlock, int kStages, class Start, class Sees>
__device__ void attend_to_keys(Attended<D>& a, int keys, SharedTile<D> queries, SharedTile<D> k_tiles, SharedTile<D> v_tiles, const Scores& scores,
                               Start&& start_block, Sees&& sees) {
  start_block(0);
  ptx::commit_copies();
  for (int block = 0; block * kBlock < keys; block++) {
    if ((block + 1) * kBlock < keys) start_block(block + 1);
    ptx::commit_copies();
    ptx::wait_for_copies<1>();
    __syncthreads();
    float p[kBlock / 8][4] = {};
    const int stage = block % kStages * kBlock;
    add_product_nt<kBlock, D>(p, queries, k_tiles.rows_from(stage));
    float larger[2] = {a.top[0], a.top[1]};
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] = sees(e / 2, block * kBlock + col_of(j, e)) ? scores.score(p[j][e]) * kLog2e : -INFINITY;
        larger[e / 2] = fmaxf(larger[e / 2], p[j][e]);
      }
    float shift[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      larger[half] = row_max(larger[half]);
      shift[half] = larger[half] == -INFINITY ? 0 : larger[half];  // a row that has seen no key yet
      const float keep = ptx::exp2(a.top[half] - shift[half]);
      a.top[half] = larger[half];
      a.total[half] *= keep;
#pragma unroll
      for (int j = 0; j < D / 8; j++) {
        a.sum[j][2 * half] *= keep;
        a.sum[j][2 * half + 1] *= keep;
      }
    }
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] = ptx::exp2(p[j][e] - shift[e / 2]);
        a.total[e / 2] += p[j][e];
      }
    add_product_nn<D, kBlock>(a.sum, p, v_tiles.rows_from(stage), 0);
    __syncthreads();  // the next round fills this stage
  }
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
