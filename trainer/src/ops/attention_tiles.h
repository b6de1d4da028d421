// Who sees whom in a packed batch, cut into tiles on the host once for all layers.
//
// A token's position is its place in its own sequence, prompt and completion together. A query sees a key of its sequence
// whose position is not above its own and, where there is a window, less than `window` below it.
// defines: AttentionSegment, AttentionTile, KeyTile, QueryRange, AttentionView, AttentionLists
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/host_device.h"

namespace concord {

inline constexpr int32_t kAttentionTileRows = 64;

// Rows [begin, end) of a packed batch that attend causally to themselves and fully to rows
// [prefix_begin, prefix_end), the prompt they continue (empty for a prompt and for text without one).
struct AttentionSegment {
  int32_t begin = 0, end = 0, prefix_begin = 0, prefix_end = 0;
};

struct IndexRange {
  int32_t first = 0, last = 0;
};

CONCORD_HOST_DEVICE inline bool sees(int64_t query_position, int64_t key_position, int64_t window) {
  return key_position <= query_position && (window == 0 || query_position - key_position < window);
}

// Query rows [begin, end) of one segment. Its keys are numbered: those of the prefix from prefix_begin on, then rows
// [segment_begin, end) of the segment. Query row i of the tile sees keys [first(i), visible(i)).
struct AttentionTile {
  int32_t begin = 0, end = 0, prefix_begin = 0, prefix = 0, segment_begin = 0;

  CONCORD_HOST_DEVICE int64_t rows() const { return end - begin; }
  CONCORD_HOST_DEVICE int64_t own() const { return end - segment_begin; }
  CONCORD_HOST_DEVICE int64_t keys() const { return prefix + own(); }
  CONCORD_HOST_DEVICE int64_t key_row(int64_t key) const { return key < prefix ? prefix_begin + key : segment_begin + key - prefix; }
  CONCORD_HOST_DEVICE int64_t visible(int64_t row) const { return prefix + (begin + row - segment_begin) + 1; }
  CONCORD_HOST_DEVICE int64_t first(int64_t row, int64_t window) const {
    const int64_t at = visible(row) - window;
    return window > 0 && at > 0 ? at : 0;
  }

  // Without the keys that lie before every row's window; what is left is numbered anew.
  CONCORD_HOST_DEVICE AttentionTile in_window(int64_t window) const {
    const auto skip = static_cast<int32_t>(first(0, window)), of_prefix = skip < prefix ? skip : prefix;
    return {begin, end, prefix_begin + of_prefix, prefix - of_prefix, segment_begin + skip - of_prefix};
  }
};

// Query rows [begin, end) at positions from `position` on.
struct QueryRange {
  int32_t begin = 0, end = 0, position = 0;
};

// Key rows [begin, end) at positions from `position` on, and who may see them: readers [first, last) of the batch's list.
struct KeyTile {
  int32_t begin = 0, end = 0, position = 0;
  IndexRange readers;

  CONCORD_HOST_DEVICE int64_t rows() const { return end - begin; }
  // The rows of a range that see any of these keys; empty where none does.
  CONCORD_HOST_DEVICE QueryRange seen_by(QueryRange range, int64_t window) const {
    const int64_t skip = position > range.position ? position - range.position : 0;
    int64_t first = range.begin + skip, last = range.end;
    const int64_t out_of_window = range.begin + (position + rows() - 1) + window - range.position;
    if (window > 0 && out_of_window < last) last = out_of_window;
    if (first > last) first = last;
    return {static_cast<int32_t>(first), static_cast<int32_t>(last), static_cast<int32_t>(range.position + (first - range.begin))};
  }
};

// What attention reads of the lists, where its device reads it.
struct AttentionView {
  std::span<const AttentionTile> tiles;
  std::span<const IndexRange> groups;  // of tiles; no key is shared between groups
  std::span<const KeyTile> key_tiles;
  std::span<const QueryRange> readers;
};

class AttentionLists {
 public:
  void clear();
  // Segments that share no key with those of any other group. No allocation once the lists have grown.
  void add_group(std::span<const AttentionSegment> segments);
  AttentionView view() const { return {tiles_, groups_, key_tiles_, readers_}; }

 private:
  std::vector<AttentionTile> tiles_;
  std::vector<IndexRange> groups_;
  std::vector<KeyTile> key_tiles_;
  std::vector<QueryRange> readers_;
};

}  // namespace concord
