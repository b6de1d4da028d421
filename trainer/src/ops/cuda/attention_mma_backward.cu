// Attention's backward pass on tensor cores. Probabilities are computed anew from the saved logsumexp, twice: a block that holds
// queries sums their gradient over keys, and one that holds keys sums theirs over queries. That is two products more than with atomic
// additions into the queries' gradient (Dao 2023, algorithm 2), and the same bytes every time.
#include "ops/cuda/attention_mma.h"

namespace concord::ops {
namespace {

constexpr int kRows = kAttentionTileRows, kRowGroups = kRows / kWarpRows, kStages = 2;

// Rows of the other side at a time, so that two tiles of 64 rows and two stages of two tiles fit 99 KB.
template <int D>
constexpr int kStreamed = D == 256 ? 16 : 32;
template <int D>
constexpr int kSharedBytes = SharedTile<D>::bytes(2 * kRows + 2 * kStages * kStreamed<D>);

// Gradients of queries, and delta[t, h] = the sum of dO O, which the keys' kernel reads. Grid: tiles, heads.
template <int D>
__global__ void __launch_bounds__(kRowGroups* kWarp)
    query_gradient_kernel(Mat<const Bf16> qkv, AttentionShape shape, Scores scores, const AttentionTile* tiles, Mat<const Bf16> out,
                          Mat<const float> lse, Mat<const Bf16> dout, Mat<Bf16> dqkv, Mat<float> delta) {
  constexpr int kBlock = kStreamed<D>, kThreads = kRowGroups * kWarp;
  const AttentionTile tile = tiles[blockIdx.x].in_window(scores.window);
  const HeadColumns at(shape, blockIdx.y);
  const int keys = static_cast<int>(tile.keys()), warp_row = static_cast<int>(threadIdx.x / kWarp) * kWarpRows;
  const SharedTile<D> queries{launched_shared_memory<Bf16>()}, d_outs = queries.rows_from(kRows), k_tiles = d_outs.rows_from(kRows),
      v_tiles = k_tiles.rows_from(kStages * kBlock);

  const auto start_block = [&](int block) { start_key_block<kThreads, kBlock, kStages>(block, tile, qkv, at, k_tiles, v_tiles); };
  const auto of_tile = [&](Mat<const Bf16> m) {
    return [&, m](int row) { return row < tile.rows() ? m.row(tile.begin + row) + at.q : nullptr; };
  };
  queries.template start_fill<kThreads>(kRows, qkv.data, of_tile(qkv));
  d_outs.template start_fill<kThreads>(kRows, qkv.data, of_tile(dout));
  start_block(0);
  ptx::commit_copies();

  int first[2], visible[2];
  float log_total[2] = {}, d[2] = {};
  for (int half = 0; half < 2; half++) {
    const int row = warp_row + row_of(2 * half);
    const bool inside = row < tile.rows();
    first[half] = static_cast<int>(tile.first(row, scores.window));
    visible[half] = inside ? static_cast<int>(tile.visible(row)) : 0;
    if (inside) {
      const int64_t t = tile.begin + row;
      log_total[half] = lse.row(t)[blockIdx.y] * kLog2e;
      for (int i = lane_of() % 4; i < D; i += 4) d[half] += static_cast<float>(dout.row(t)[at.q + i]) * static_cast<float>(out.row(t)[at.q + i]);
    }
    d[half] = row_sum(d[half]);
    if (inside && lane_of() % 4 == 0) delta.row(tile.begin + row)[blockIdx.y] = d[half];
  }
  float dq[D / 8][4] = {};
  for (int block = 0; block * kBlock < keys; block++) {
    if ((block + 1) * kBlock < keys) start_block(block + 1);
    ptx::commit_copies();
    ptx::wait_for_copies<1>();
    __syncthreads();
    const int stage = block % kStages * kBlock;
    float s[kBlock / 8][4] = {}, dp[kBlock / 8][4] = {};
    add_product_nt<kBlock, D>(s, queries.rows_from(warp_row), k_tiles.rows_from(stage));
    add_product_nt<kBlock, D>(dp, d_outs.rows_from(warp_row), v_tiles.rows_from(stage));
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int key = block * kBlock + col_of(j, e), half = e / 2;
        const float score = scores.score(s[j][e]), p = ptx::exp2(score * kLog2e - log_total[half]);
        s[j][e] = key >= first[half] && key < visible[half] ? p * (dp[j][e] - d[half]) * scores.derivative(score) : 0;
      }
    add_product_nn<D, kBlock>(dq, s, k_tiles.rows_from(stage), 0);
    __syncthreads();  // the next round fills this stage
  }
  store_rows<D>(dq, {1, 1}, static_cast<int>(tile.rows()) - warp_row, [&](int row) { return dqkv.row(tile.begin + warp_row + row) + at.q; });
}

// Query rows [row, row + n) of one head at positions from `position` on; the last block has n 0.
struct QueryBlock {
  int64_t head, row, position;
  int n;
};

// The queries that see a tile of keys, of every head that reads it, a block at a time.
template <int kBlock>
struct QueryBlocks {
  KeyTile tile;
  const QueryRange* readers;
  int64_t window, head, last_head;
  int32_t reader;
  QueryRange rest;

  __device__ QueryBlocks(const KeyTile& tile, const QueryRange* readers, int64_t window, int64_t first_head, int64_t heads)
      : tile(tile), readers(readers), window(window), head(first_head), last_head(first_head + heads - 1), reader(tile.readers.first) {
    rest = tile.seen_by(readers[reader], window);
  }

  __device__ QueryBlock next() {
    while (rest.begin == rest.end) {
      if (++reader == tile.readers.last) {
        if (head == last_head) {
          reader--;  // ask again, and it is the end again
          return {0, 0, 0, 0};
        }
        reader = tile.readers.first;
        head++;
      }
      rest = tile.seen_by(readers[reader], window);
    }
    const int n = rest.end - rest.begin < kBlock ? rest.end - rest.begin : kBlock;
    const QueryBlock block{head, rest.begin, rest.position, n};
    rest.begin += n;
    rest.position += n;
    return block;
  }
};

// Warps that share 16 key rows and split the head's columns: a thread's sums of 256 for keys and for values would not fit its registers.
template <int D>
constexpr int kColumnGroups = D == 256 ? 2 : 1;

// Gradients of keys and values. Products are of keys times queries, so that a warp's sums are over queries. Grid: key tiles, key-value
// heads.
template <int D>
__global__ void __launch_bounds__(kRowGroups* kColumnGroups<D>* kWarp)
    key_gradient_kernel(Mat<const Bf16> qkv, AttentionShape shape, Scores scores, const KeyTile* tiles, const QueryRange* readers,
                        Mat<const float> lse, Mat<const Bf16> dout, Mat<Bf16> dqkv, Mat<const float> delta) {
  constexpr int kBlock = kStreamed<D>, kThreads = kRowGroups * kColumnGroups<D> * kWarp, kColumns = D / kColumnGroups<D>;
  const KeyTile tile = tiles[blockIdx.x];
  const int64_t heads = shape.heads / shape.kv_heads;
  const HeadColumns at(shape, blockIdx.y * heads);
  const int warp = static_cast<int>(threadIdx.x / kWarp), warp_row = warp % kRowGroups * kWarpRows, col = warp / kRowGroups * kColumns;
  const SharedTile<D> keys{launched_shared_memory<Bf16>()}, values = keys.rows_from(kRows), q_tiles = values.rows_from(kRows),
      d_out_tiles = q_tiles.rows_from(kStages * kBlock);

  const auto start_block = [&](const QueryBlock& block, int stage) {
    const auto source = [&](Mat<const Bf16> m) {
      return [&, m](int row) { return row < block.n ? m.row(block.row + row) + block.head * D : nullptr; };
    };
    q_tiles.rows_from(stage * kBlock).template start_fill<kThreads>(kBlock, qkv.data, source(qkv));
    d_out_tiles.rows_from(stage * kBlock).template start_fill<kThreads>(kBlock, qkv.data, source(dout));
  };
  const auto of_tile = [&](int64_t column) {
    return [&, column](int row) { return row < tile.rows() ? qkv.row(tile.begin + row) + column : nullptr; };
  };
  keys.template start_fill<kThreads>(kRows, qkv.data, of_tile(at.k));
  values.template start_fill<kThreads>(kRows, qkv.data, of_tile(at.v));
  QueryBlocks<kBlock> blocks(tile, readers, scores.window, blockIdx.y * heads, heads);
  QueryBlock now = blocks.next();
  start_block(now, 0);
  ptx::commit_copies();

  float dk[kColumns / 8][4] = {}, dv[kColumns / 8][4] = {};
  for (int stage = 0; now.n > 0; stage = 1 - stage) {
    const QueryBlock ahead = blocks.next();
    if (ahead.n > 0) start_block(ahead, 1 - stage);
    ptx::commit_copies();
    ptx::wait_for_copies<1>();
    __syncthreads();
    const SharedTile<D> queries = q_tiles.rows_from(stage * kBlock), d_outs = d_out_tiles.rows_from(stage * kBlock);
    float p[kBlock / 8][4] = {}, ds[kBlock / 8][4] = {};
    add_product_nt<kBlock, D>(p, keys.rows_from(warp_row), queries);
    add_product_nt<kBlock, D>(ds, values.rows_from(warp_row), d_outs);
#pragma unroll
    for (int j = 0; j < kBlock / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int row = warp_row + row_of(e), query = col_of(j, e);
        const bool seen = query < now.n && row < tile.rows() && sees(now.position + query, tile.position + row, scores.window);
        const int64_t t = now.row + (query < now.n ? query : 0);
        const float score = scores.score(p[j][e]);
        p[j][e] = seen ? ptx::exp2((score - lse.row(t)[now.head]) * kLog2e) : 0;
        ds[j][e] = p[j][e] * (ds[j][e] - delta.row(t)[now.head]) * scores.derivative(score);
      }
    add_product_nn<kColumns, kBlock>(dv, p, d_outs, col);
    add_product_nn<kColumns, kBlock>(dk, ds, queries, col);
    __syncthreads();  // the next round fills this stage
    now = ahead;
  }
  const int rows = static_cast<int>(tile.rows()) - warp_row;
  const auto to = [&](int64_t column) {
    return [&, column](int row) { return dqkv.row(tile.begin + warp_row + row) + column + col; };
  };
  store_rows<kColumns>(dk, {1, 1}, rows, to(at.k));
  store_rows<kColumns>(dv, {1, 1}, rows, to(at.v));
}

}  // namespace

bool attention_backward_mma(Cuda& cuda, Mat<const Bf16> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view,
                            Mat<const Bf16> out, Mat<const float> lse, Mat<const Bf16> dout, Mat<Bf16> dqkv, Mat<float> delta) {
  if (!is_wide(dout.data, dout.stride)) return false;
  return for_head_size(qkv, shape.head_dim, [&](auto d) {
    const Scores scores(rule);
    const auto grid = [](size_t tiles, int64_t heads) { return dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(heads)); };
    launch(cuda, "attention_backward, queries", grid(view.tiles.size(), shape.heads), dim3(kRowGroups * kWarp), kSharedBytes<d()>,
           query_gradient_kernel<d()>, qkv, shape, scores, view.tiles.data(), out, lse, dout, dqkv, delta);
    launch(cuda, "attention_backward, keys", grid(view.key_tiles.size(), shape.kv_heads), dim3(kRowGroups * kColumnGroups<d()> * kWarp),
           kSharedBytes<d()>, key_gradient_kernel<d()>, qkv, shape, scores, view.key_tiles.data(), view.readers.data(), lse, dout, dqkv,
           Mat<const float>(delta));
  });
}

}  // namespace concord::ops
