// Tiles of cached attention: together they give each row each of its keys once, from the cache's right row.
#include "ops/cached_tiles.h"

#include <algorithm>
#include <map>
#include <set>

#include "check.h"

using namespace concord;

namespace {

struct Tiled {
  std::vector<CachedSegment> segments;
  CachedLists lists;

  Tiled(std::vector<CachedSegment> all, int64_t heads_per_kv) : segments(std::move(all)) { lists.set(segments, heads_per_kv); }

  void check_complete() const {
    std::vector<std::map<int64_t, int64_t>> seen(segments.size());  // of each row: key -> row of the cache
    std::set<int64_t> slots;                                        // that tiles write to
    for (const CachedTile& tile : lists.view().tiles)
      for (int64_t r = tile.row_begin; r < tile.row_end; r++) {
        const IndexRange parts = lists.view().parts[r];
        CHECK(tile.part >= 0 && tile.part < parts.last - parts.first);
        CHECK(slots.insert(parts.first + tile.part).second);
        for (int64_t key = tile.first; key < tile.last && key < segments[r].keys(); key++) CHECK(seen[r].emplace(key, key + tile.base).second);
      }
    CHECK_EQ(static_cast<int64_t>(slots.size()), lists.n_parts());
    for (size_t r = 0; r < segments.size(); r++) {
      CHECK_EQ(static_cast<int64_t>(seen[r].size()), segments[r].keys());
      for (const auto& [key, row] : seen[r]) CHECK_EQ(row, segments[r].key_row(key));
    }
  }
  size_t tiles() const {
    return static_cast<size_t>(std::ranges::count_if(lists.view().tiles, [](const CachedTile& tile) { return tile.rows() > 0; }));
  }
};

}  // namespace

TEST("samples of a prompt share its tiles, as many as there is room for") {
  const std::vector<CachedSegment> four = {{10, 30, 100, 101}, {10, 30, 110, 115}, {10, 30, 120, 123}, {10, 30, 130, 131}};
  const Tiled all(four, 4), half(four, 32), none(four, 200);
  for (const Tiled* tiled : {&all, &half, &none}) tiled->check_complete();
  CHECK_EQ(all.tiles(), size_t{1 + 4});
  CHECK_EQ(half.tiles(), size_t{2 + 4});
  CHECK_EQ(none.tiles(), size_t{4 + 4});
}

TEST("tokens of a prompt on its way share tiles; other prompts and samples do not") {
  const Tiled tiled({{0, 5, 0, 0}, {0, 6, 0, 0}, {0, 7, 0, 0}, {20, 22, 0, 0}, {0, 5, 40, 41}, {0, 5, 0, 0}, {0, 6, 50, 52}}, 1);
  tiled.check_complete();
  CHECK_EQ(tiled.tiles(), size_t{1 + 1 + 2 + 1 + 2});
}

TEST("long sequences come in parts, of bounded number") {
  const Tiled tiled({{0, 300, 1000, 1600}, {0, 300, 2000, 2001}, {3000, 100'000, 0, 0}}, 4);
  tiled.check_complete();
  CHECK_EQ(tiled.tiles(), size_t{2 + 3 + 1 + 8});
}

TEST("a list is filled up with empty tiles, so that many lists have one length") {
  const Tiled one({{0, 5, 0, 0}}, 1), four({{0, 300, 1000, 1600}, {0, 300, 2000, 2001}}, 4), none({}, 1);
  for (const Tiled* tiled : {&one, &four}) CHECK_EQ(tiled->lists.view().tiles.size(), CachedLists::kTiles);
  CHECK(none.lists.view().tiles.empty());
}
