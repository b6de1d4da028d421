// Tiles of queries and of keys against the definition of who sees whom.
#include <set>

#include "check.h"
#include "model/random.h"
#include "ops/attention_tiles.h"

using namespace concord;

namespace {

struct Tree {
  std::vector<std::vector<AttentionSegment>> groups;
  int32_t rows = 0;
};

// Prompts with completions of many lengths, some with a second prompt between (as longrope has), and texts without one.
Tree random_tree(Random& random) {
  Tree tree;
  const auto segment = [&](AttentionSegment prefix) {
    const auto n = static_cast<int32_t>(1 + random.below(200));
    const AttentionSegment s{tree.rows, tree.rows + n, prefix.begin, prefix.end};
    tree.rows += n;
    return s;
  };
  for (int g = 0; g < 3; g++) {
    auto& group = tree.groups.emplace_back();
    for (uint64_t prompts = random.below(3); prompts > 0; prompts--) group.push_back(segment({}));
    const size_t n_prompts = group.size();
    for (uint64_t texts = 1 + random.below(4); texts > 0; texts--)
      group.push_back(segment(n_prompts == 0 ? AttentionSegment{} : group[random.below(n_prompts)]));
  }
  return tree;
}

using Pairs = std::set<std::pair<int64_t, int64_t>>;  // query row, key row

Pairs by_definition(const Tree& tree, int64_t window) {
  Pairs pairs;
  for (const auto& group : tree.groups)
    for (const AttentionSegment& s : group)
      for (int64_t q = s.begin; q < s.end; q++) {
        std::vector<int64_t> keys;
        for (int64_t k = s.prefix_begin; k < s.prefix_end; k++) keys.push_back(k);
        for (int64_t k = s.begin; k <= q; k++) keys.push_back(k);
        const size_t first = window > 0 && keys.size() > static_cast<size_t>(window) ? keys.size() - static_cast<size_t>(window) : 0;
        for (size_t i = first; i < keys.size(); i++) pairs.emplace(q, keys[i]);
      }
  return pairs;
}

Pairs by_query_tiles(const AttentionView& view, int64_t window) {
  Pairs pairs;
  for (const AttentionTile& whole : view.tiles) {
    const AttentionTile tile = whole.in_window(window);
    CHECK(tile.rows() >= 1 && tile.rows() <= kAttentionTileRows);
    CHECK_EQ(tile.first(0, window), 0);  // nothing is left before the window
    CHECK_EQ(tile.visible(tile.rows() - 1), tile.keys());
    for (int64_t row = 0; row < tile.rows(); row++)
      for (int64_t key = tile.first(row, window); key < tile.visible(row); key++) CHECK(pairs.emplace(tile.begin + row, tile.key_row(key)).second);
  }
  return pairs;
}

Pairs by_key_tiles(const AttentionView& view, int64_t window) {
  Pairs pairs;
  for (const KeyTile& tile : view.key_tiles) {
    CHECK(tile.rows() >= 1 && tile.rows() <= kAttentionTileRows);
    for (int32_t r = tile.readers.first; r < tile.readers.last; r++) {
      const QueryRange range = tile.seen_by(view.readers[r], window);
      for (int64_t q = range.begin; q < range.end; q++) {
        bool any = false;
        for (int64_t k = 0; k < tile.rows(); k++) {
          if (!sees(range.position + q - range.begin, tile.position + k, window)) continue;
          any = true;
          CHECK(pairs.emplace(q, tile.begin + k).second);
        }
        CHECK(any);
      }
    }
  }
  return pairs;
}

}  // namespace

TEST("tiles of queries and tiles of keys hold exactly the pairs that see one another, each once") {
  Random random(5, 0);
  for (int repeat = 0; repeat < 8; repeat++) {
    const Tree tree = random_tree(random);
    AttentionLists lists;
    lists.add_group(std::vector<AttentionSegment>{{0, 1, 0, 0}});
    lists.clear();
    for (const auto& group : tree.groups) lists.add_group(group);
    for (const int64_t window : {0, 1, 7, 64, 150}) {
      const Pairs want = by_definition(tree, window);
      CHECK(by_query_tiles(lists.view(), window) == want);
      CHECK(by_key_tiles(lists.view(), window) == want);
    }
  }
}
