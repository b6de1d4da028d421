// What single query rows see of a cache of keys and values, cut into tiles on the host once for all layers.
//
// The samples of a prompt see the same rows of it, so a tile reads those once for several of them. What one row sees lies in several tiles:
// each finds a part of its result, so that a long sequence keeps many processors busy.
// defines: CachedSegment, CachedTile, CachedView, CachedLists
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention_tiles.h"

namespace concord {

// The rows of the cache that one query sees: its prompt's, which others may share, and its own, the query's among them. Its keys are
// numbered in that order.
struct CachedSegment {
  int64_t prompt_begin = 0, prompt_end = 0, own_begin = 0, own_end = 0;

  CONCORD_HOST_DEVICE int64_t prompt() const { return prompt_end - prompt_begin; }
  CONCORD_HOST_DEVICE int64_t keys() const { return prompt() + own_end - own_begin; }
  CONCORD_HOST_DEVICE int64_t key_row(int64_t key) const { return key < prompt() ? prompt_begin + key : own_begin + key - prompt(); }
  CONCORD_HOST_DEVICE int64_t first(int64_t window) const { return window > 0 && keys() > window ? keys() - window : 0; }
};

// Query rows [row_begin, row_end), which with all heads that read one key-value head are at most kAttentionTileRows queries, or a single row; and
// of what they see keys [first, last), which are rows first + base to last + base of the cache. Each row sees those that its segment has.
struct CachedTile {
  int32_t row_begin = 0, row_end = 0, first = 0, last = 0, base = 0;
  int32_t part = 0;  // which of its rows' parts
  // Empty ones stand at the end of a list, whose length then is the same for many batches.

  CONCORD_HOST_DEVICE int64_t rows() const { return row_end - row_begin; }
};

// What cached attention reads of the lists, where its device reads it.
struct CachedView {
  std::span<const CachedSegment> segments;  // of each query row
  std::span<const CachedTile> tiles;
  std::span<const IndexRange> parts;  // of each query row
};

class CachedLists {
 public:
  static constexpr size_t kTiles = 32;
  // Replaces the lists, tiles in multiples of kTiles; no allocation once they have grown. heads_per_kv: query heads that read one key-value head.
  void set(std::span<const CachedSegment> segments, int64_t heads_per_kv);
  CachedView view() const { return {segments_, tiles_, parts_}; }
  int64_t n_parts() const { return parts_.empty() ? 0 : parts_.back().last; }

 private:
  void add_rows(int32_t begin, int32_t end);
  // Keys [first, last) of the rows, in parts from `part` on; returns how many.
  int32_t add_tiles(CachedTile rows, int32_t first, int32_t last);

  std::vector<CachedSegment> segments_;
  std::vector<CachedTile> tiles_;
  std::vector<IndexRange> parts_;
};

}  // namespace concord
