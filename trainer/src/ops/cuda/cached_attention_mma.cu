// Attention of single query rows over a cache on tensor cores, after FlashDecoding (Dao et al. 2023) and Hydragen (Juravsky et al. 2024): a
// block streams the keys and values of one tile and key-value head past the queries of all its rows and heads at once, and leaves their
// part of the result; a second kernel merges each row's parts.
#include "ops/cuda/attention_mma.h"

namespace concord::ops {
namespace {

constexpr int kQueries = kAttentionTileRows, kWarps = kQueries / kWarpRows, kThreads = kWarps * kWarp, kStages = kForwardStages;

// Those of a tile's keys that any of its rows sees, and the columns of its head in the cache.
struct Keys {
  int64_t first, last, base;
  int64_t k, v;

  __device__ Keys(const CachedTile& tile, const CachedSegment* segments, const AttentionShape& shape, int64_t kv, int64_t window)
      : first(tile.last), last(tile.last), base(tile.base), k(kv * shape.head_dim), v(k + shape.kv_cols()) {
    for (int64_t row = tile.row_begin; row < tile.row_end; row++) {
      const int64_t from = segments[row].first(window);
      if (from < first) first = from;
    }
    if (first < tile.first) first = tile.first;
  }
  __device__ int64_t keys() const { return last - first; }
  __device__ int64_t key_row(int64_t key) const { return base + first + key; }
};

// Writes found[slot heads + head] = the part's result, then log2 of its softmax's denominator; minus infinity where a row sees none of the
// keys. Grid: tiles, key-value heads.
template <int D>
__global__ void __launch_bounds__(kThreads) parts_kernel(Mat<const Bf16> qkv, AttentionShape shape, Scores scores, Mat<const Bf16> cache,
                                                         const CachedSegment* segments, const CachedTile* tiles, const IndexRange* parts, Mat<float> found) {
  constexpr int kBlock = kForwardKeys<D>;
  const CachedTile tile = tiles[blockIdx.x];
  if (tile.rows() == 0) return;
  const Keys keys(tile, segments, shape, blockIdx.y, scores.window);
  const int heads = static_cast<int>(shape.heads / shape.kv_heads), queries_here = static_cast<int>(tile.rows()) * heads;
  const int warp_query = static_cast<int>(threadIdx.x / kWarp) * kWarpRows;
  const SharedTile<D> queries{launched_shared_memory<Bf16>()}, k_tiles = queries.rows_from(kQueries), v_tiles = k_tiles.rows_from(kStages * kBlock);

  const auto row_at = [&](int query) { return tile.row_begin + query / heads; };
  const auto head_at = [&](int query) { return static_cast<int64_t>(blockIdx.y) * heads + query % heads; };
  queries.template start_fill<kThreads>(kQueries, qkv.data,
                                        [&](int query) { return query < queries_here ? qkv.row(row_at(query)) + head_at(query) * D : nullptr; });
  // Keys [first, visible) of the thread's two queries; none behind the tile's last query.
  int64_t first[2] = {}, visible[2] = {};
  for (int half = 0; half < 2; half++) {
    const int query = warp_query + row_of(2 * half);
    if (query >= queries_here) continue;
    const CachedSegment& segment = segments[row_at(query)];
    first[half] = segment.first(scores.window) - keys.first;
    visible[half] = segment.keys() - keys.first;
  }
  const auto start_block = [&](int block) { start_key_block<kThreads, kBlock, kStages>(block, keys, cache, keys, k_tiles, v_tiles); };
  const int64_t n = keys.keys();
  Attended<D> a;
  if (n > 0)
    attend_to_keys<D, kBlock, kStages>(a, static_cast<int>(n), queries.rows_from(warp_query), k_tiles, v_tiles, scores, start_block,
                                       [&](int half, int key) { return key >= first[half] && key < visible[half] && key < n; });
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float total = row_sum(a.total[half]), factor = total > 0 ? 1 / total : 0;
    const int query = warp_query + row_of(2 * half);
    if (query >= queries_here) continue;
    float* to = found.row((parts[row_at(query)].first + tile.part) * shape.heads + head_at(query));
#pragma unroll
    for (int j = 0; j < D / 8; j++)
      for (int e = 0; e < 2; e++) to[col_of(j, e)] = a.sum[j][2 * half + e] * factor;
    if (lane_of() % 4 == 0) to[D] = total > 0 ? a.top[half] + log2f(total) : -INFINITY;
  }
}

// out[t, head] = the mean of its parts' results, by their denominators. Grid: rows, heads; a thread for each column.
template <int D>
__global__ void merge_kernel(Mat<const float> found, const IndexRange* parts, int64_t heads, Mat<Bf16> out) {
  const int64_t t = blockIdx.x, head = blockIdx.y, col = threadIdx.x;
  const auto part = [&](int32_t slot) { return found.row(slot * heads + head); };
  float top = -INFINITY;
  for (int32_t slot = parts[t].first; slot < parts[t].last; slot++) top = fmaxf(top, part(slot)[D]);
  float sum = 0, total = 0;
  for (int32_t slot = parts[t].first; slot < parts[t].last; slot++) {
    const float weight = exp2f(part(slot)[D] - top);
    sum += weight * part(slot)[col];
    total += weight;
  }
  out.row(t)[head * D + col] = static_cast<Bf16>(sum / total);
}

}  // namespace

bool cached_attention_mma(Cuda& cuda, Mat<const Bf16> qkv, AttentionShape shape, AttentionRule rule, Mat<const Bf16> cache, const CachedView& view,
                          Mat<Bf16> out, Mat<float> found) {
  if (shape.heads / shape.kv_heads > kQueries || !is_wide(cache.data, cache.stride)) return false;
  return for_head_size(qkv, shape.head_dim, [&](auto d) {
    launch(cuda, "cached_attention", dim3(static_cast<unsigned>(view.tiles.size()), static_cast<unsigned>(shape.kv_heads)), dim3(kThreads), kForwardSharedBytes<d()>,
           parts_kernel<d()>, qkv, shape, Scores(rule), cache, view.segments.data(), view.tiles.data(), view.parts.data(), found);
    launch(cuda, "cached_attention, merge", dim3(static_cast<unsigned>(qkv.rows), static_cast<unsigned>(shape.heads)), dim3(d()), 0, merge_kernel<d()>,
           Mat<const float>(found), view.parts.data(), shape.heads, out);
  });
}

}  // namespace concord::ops
