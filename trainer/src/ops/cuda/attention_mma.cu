// Attention's forward pass on tensor cores: a block holds 64 queries of one head and streams their keys and values.
#include "ops/cuda/attention_mma.h"

namespace concord::ops {
namespace {

constexpr int kRows = kAttentionTileRows, kWarps = kRows / kWarpRows, kThreads = kWarps * kWarp, kStages = kForwardStages;

// Grid: tiles, heads.
template <int D>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(Mat<const Bf16> qkv, AttentionShape shape, Scores scores, const AttentionTile* tiles, Mat<Bf16> out, Mat<float> lse) {
  constexpr int kBlock = kForwardKeys<D>;
  const AttentionTile tile = tiles[blockIdx.x].in_window(scores.window);
  const HeadColumns at(shape, blockIdx.y);
  const int keys = static_cast<int>(tile.keys()), warp_row = static_cast<int>(threadIdx.x / kWarp) * kWarpRows;
  const SharedTile<D> queries{launched_shared_memory<Bf16>()}, k_tiles = queries.rows_from(kRows), v_tiles = k_tiles.rows_from(kStages * kBlock);

  queries.template start_fill<kThreads>(kRows, qkv.data, [&](int row) { return row < tile.rows() ? qkv.row(tile.begin + row) + at.q : nullptr; });
  // Keys [first, visible) of the thread's two rows; none of a row behind the tile's last.
  int first[2], visible[2];
  for (int half = 0; half < 2; half++) {
    const int row = warp_row + row_of(2 * half);
    first[half] = static_cast<int>(tile.first(row, scores.window));
    visible[half] = row < tile.rows() ? static_cast<int>(tile.visible(row)) : 0;
  }
  const auto start_block = [&](int block) { start_key_block<kThreads, kBlock, kStages>(block, tile, qkv, at, k_tiles, v_tiles); };
  Attended<D> a;
  attend_to_keys<D, kBlock, kStages>(a, keys, queries.rows_from(warp_row), k_tiles, v_tiles, scores, start_block,
                                     [&](int half, int key) { return key >= first[half] && key < visible[half]; });
  float factor[2];
  const int rows = static_cast<int>(tile.rows()) - warp_row;
  for (int half = 0; half < 2; half++) {
    const float total = row_sum(a.total[half]);
    factor[half] = 1 / total;
    const int row = row_of(2 * half);
    if (row < rows && lane_of() % 4 == 0) lse.row(tile.begin + warp_row + row)[blockIdx.y] = a.top[half] * kLn2 + logf(total);
  }
  store_rows<D>(a.sum, factor, rows, [&](int row) { return out.row(tile.begin + warp_row + row) + at.q; });
}

}  // namespace

bool attention_mma(Cuda& cuda, Mat<const Bf16> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<Bf16> out,
                   Mat<float> lse) {
  return for_head_size(qkv, shape.head_dim, [&](auto d) {
    const dim3 grid(static_cast<unsigned>(view.tiles.size()), static_cast<unsigned>(shape.heads));
    launch(cuda, "attention", grid, dim3(kThreads), kForwardSharedBytes<d()>, forward_kernel<d()>, qkv, shape, Scores(rule), view.tiles.data(), out, lse);
  });
}

}  // namespace concord::ops
