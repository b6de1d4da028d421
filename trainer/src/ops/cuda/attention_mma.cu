// Attention's forward pass on tensor cores, after FlashAttention-2 (Dao 2023, algorithm 1): a block holds 64 queries of one head and
// streams their keys and values, never storing a score.
#include "ops/cuda/attention_mma.h"

namespace concord::ops {
namespace {

constexpr int kRows = kAttentionTileRows, kWarps = kRows / kWarpRows, kThreads = kWarps * kWarp, kStages = 2;

// Keys at a time: what leaves shared memory for a second block where the head is small enough, and fits 99 KB anyhow.
template <int D>
constexpr int kKeys = D == 256 ? 32 : 64;
template <int D>
constexpr int kSharedBytes = SharedTile<D>::bytes(kRows + 2 * kStages * kKeys<D>);

// Grid: tiles, heads.
template <int D>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(Mat<const Bf16> qkv, AttentionShape shape, Scores scores, const AttentionTile* tiles, Mat<Bf16> out, Mat<float> lse) {
  constexpr int kBlock = kKeys<D>;
  const AttentionTile tile = tiles[blockIdx.x].in_window(scores.window);
  const HeadColumns at(shape, blockIdx.y);
  const int keys = static_cast<int>(tile.keys()), warp_row = static_cast<int>(threadIdx.x / kWarp) * kWarpRows;
  const SharedTile<D> queries{launched_shared_memory<Bf16>()}, k_tiles = queries.rows_from(kRows), v_tiles = k_tiles.rows_from(kStages * kBlock);

  const auto start_block = [&](int block) { start_key_block<kThreads, kBlock, kStages>(block, tile, qkv, at, k_tiles, v_tiles); };
  queries.template start_fill<kThreads>(kRows, qkv.data, [&](int row) { return row < tile.rows() ? qkv.row(tile.begin + row) + at.q : nullptr; });
  start_block(0);
  ptx::commit_copies();

  // Keys [first, visible) of the thread's two rows; none of a row behind the tile's last.
  int first[2], visible[2];
  for (int half = 0; half < 2; half++) {
    const int row = warp_row + row_of(2 * half);
    first[half] = static_cast<int>(tile.first(row, scores.window));
    visible[half] = row < tile.rows() ? static_cast<int>(tile.visible(row)) : 0;
  }
  float sum[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};  // scores in units of ln 2, so that exp2 does
  for (int block = 0; block * kBlock < keys; block++) {
    if ((block + 1) * kBlock < keys) start_block(block + 1);
    ptx::commit_copies();
    ptx::wait_for_copies<1>();
    __syncthreads();
    float p[kBlock / 8][4] = {};
    const int stage = block % kStages * kBlock;
    add_product_nt<kBlock, D>(p, queries.rows_from(warp_row), k_tiles.rows_from(stage));
    float larger[2] = {top[0], top[1]};
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int key = block * kBlock + col_of(j, e);
        p[j][e] = key >= first[e / 2] && key < visible[e / 2] ? scores.score(p[j][e]) * kLog2e : -INFINITY;
        larger[e / 2] = fmaxf(larger[e / 2], p[j][e]);
      }
    float shift[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      larger[half] = row_max(larger[half]);
      shift[half] = larger[half] == -INFINITY ? 0 : larger[half];  // a row that has seen no key yet
      const float keep = ptx::exp2(top[half] - shift[half]);
      top[half] = larger[half];
      total[half] *= keep;
#pragma unroll
      for (int j = 0; j < D / 8; j++) {
        sum[j][2 * half] *= keep;
        sum[j][2 * half + 1] *= keep;
      }
    }
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] = ptx::exp2(p[j][e] - shift[e / 2]);
        total[e / 2] += p[j][e];
      }
    add_product_nn<D, kBlock>(sum, p, v_tiles.rows_from(stage), 0);
    __syncthreads();  // the next round fills this stage
  }
  float factor[2];
  const int rows = static_cast<int>(tile.rows()) - warp_row;
  for (int half = 0; half < 2; half++) {
    total[half] = row_sum(total[half]);
    factor[half] = 1 / total[half];
    const int row = row_of(2 * half);
    if (row < rows && lane_of() % 4 == 0) lse.row(tile.begin + warp_row + row)[blockIdx.y] = top[half] * kLn2 + logf(total[half]);
  }
  store_rows<D>(sum, factor, rows, [&](int row) { return out.row(tile.begin + warp_row + row) + at.q; });
}

}  // namespace

bool attention_mma(Cuda& cuda, Mat<const Bf16> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<Bf16> out,
                   Mat<float> lse) {
  return for_head_size(qkv, shape.head_dim, [&](auto d) {
    const dim3 grid(static_cast<unsigned>(view.tiles.size()), static_cast<unsigned>(shape.heads));
    launch(cuda, "attention", grid, dim3(kThreads), kSharedBytes<d()>, forward_kernel<d()>, qkv, shape, Scores(rule), view.tiles.data(), out, lse);
  });
}

}  // namespace concord::ops
