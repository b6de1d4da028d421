#include "ops/cached_tiles.h"

#include <algorithm>

namespace concord {
namespace {

// A part is long enough to be worth the merge, and their number bounds the memory of what they find.
constexpr int32_t kPartKeys = 256, kPartsMax = 8;

// Whether two rows see the same beginning of the cache: samples of one prompt, or tokens of one prompt.
bool share_prompt(const CachedSegment& x, const CachedSegment& y) {
  const bool x_alone = x.own_begin == x.own_end, y_alone = y.own_begin == y.own_end;
  return x.prompt_begin == y.prompt_begin && x_alone == y_alone && (x_alone || x.prompt_end == y.prompt_end);
}

}  // namespace

void CachedLists::set(std::span<const CachedSegment> segments, int64_t heads_per_kv) {
  const auto rows_max = static_cast<int32_t>(std::max<int64_t>(1, kAttentionTileRows / heads_per_kv));
  segments_.assign(segments.begin(), segments.end());
  tiles_.clear();
  parts_.clear();
  const auto n = static_cast<int32_t>(segments_.size());
  for (int32_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && end - begin < rows_max && share_prompt(segments_[begin], segments_[end])) end++;
    add_rows(begin, end);
  }
  tiles_.resize((tiles_.size() + kTiles - 1) / kTiles * kTiles);
}

void CachedLists::add_rows(int32_t begin, int32_t end) {
  int64_t prompt = 0;
  for (int32_t r = begin; r < end; r++) prompt = std::max(prompt, segments_[r].prompt());
  const auto base = static_cast<int32_t>(segments_[begin].prompt_begin);
  const int32_t shared = add_tiles({begin, end, 0, 0, base, 0}, 0, static_cast<int32_t>(prompt));
  for (int32_t r = begin; r < end; r++) {
    const CachedSegment& s = segments_[r];
    const auto own_base = static_cast<int32_t>(s.own_begin - s.prompt());
    const int32_t own = add_tiles({r, r + 1, 0, 0, own_base, shared}, static_cast<int32_t>(s.prompt()), static_cast<int32_t>(s.keys()));
    const auto first = static_cast<int32_t>(n_parts());
    parts_.push_back({first, first + shared + own});
  }
}

int32_t CachedLists::add_tiles(CachedTile rows, int32_t first, int32_t last) {
  const int32_t keys = last - first;
  const int32_t parts = std::min(kPartsMax, (keys + kPartKeys - 1) / kPartKeys);
  for (int32_t p = 0; p < parts; p++) {
    CachedTile tile = rows;
    tile.first = first + static_cast<int32_t>(int64_t{keys} * p / parts);
    tile.last = first + static_cast<int32_t>(int64_t{keys} * (p + 1) / parts);
    tile.part = rows.part + p;
    tiles_.push_back(tile);
  }
  return parts;
}

}  // namespace concord
