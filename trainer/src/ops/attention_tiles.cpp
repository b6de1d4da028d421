#include "ops/attention_tiles.h"

#include <algorithm>

namespace concord {
namespace {

QueryRange queries_of(const AttentionSegment& s) { return {s.begin, s.end, s.prefix_end - s.prefix_begin}; }

bool continues(const AttentionSegment& s, const AttentionSegment& prompt) {
  return s.begin < s.end && s.prefix_begin < s.prefix_end && s.prefix_begin == prompt.begin && s.prefix_end == prompt.end;
}

// f(begin, end) for the tiles of a segment.
template <class F>
void for_each_tile(const AttentionSegment& s, F&& f) {
  for (int32_t begin = s.begin; begin < s.end; begin += kAttentionTileRows) f(begin, std::min(begin + kAttentionTileRows, s.end));
}

}  // namespace

void AttentionLists::clear() {
  tiles_.clear();
  groups_.clear();
  key_tiles_.clear();
  readers_.clear();
}

void AttentionLists::add_group(std::span<const AttentionSegment> segments) {
  const auto first_tile = static_cast<int32_t>(tiles_.size());
  for (const AttentionSegment& s : segments) {
    if (s.begin == s.end) continue;  // what has no rows shall not take room in the lists
    const int32_t prefix = s.prefix_end - s.prefix_begin, first_reader = static_cast<int32_t>(readers_.size());
    for_each_tile(s, [&](int32_t begin, int32_t end) { tiles_.push_back({begin, end, s.prefix_begin, prefix, s.begin}); });
    readers_.push_back(queries_of(s));
    for (const AttentionSegment& other : segments)
      if (continues(other, s)) readers_.push_back(queries_of(other));
    const IndexRange readers{first_reader, static_cast<int32_t>(readers_.size())};
    for_each_tile(s, [&](int32_t begin, int32_t end) { key_tiles_.push_back({begin, end, prefix + begin - s.begin, readers}); });
  }
  groups_.push_back({first_tile, static_cast<int32_t>(tiles_.size())});
}

}  // namespace concord
