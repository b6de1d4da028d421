#include <cmath>

#include "check.h"
#include "error.h"
#include "io/groups.h"
#include "temp_dir.h"

using namespace concord;

// Two groups: prompt [1 2] with completions [3], [4 5]; empty prompt with completion [6 7].
static Groups sample() {
  Groups groups;
  groups.tokens = {1, 2, 3, 4, 5, 6, 7};
  groups.segments = {0, 2, 3, 5, 5, 7};
  groups.group_segments = {0, 3, 5};
  groups.has_pairs = true;
  groups.pairs = {{2, 1}};
  groups.pair_weights = {0.5f};
  groups.segment_tiers = {-1, 1, 0, -1, 0};
  groups.segment_labels = {-1, 0, 1, -1, 1};
  groups.segment_weights = {1, 1, 2, 1, 1};
  groups.token_mask = {0, 0, 1, 1, 0, 1, 1};
  return groups;
}

TEST("groups come back as written") {
  TempDir dir;
  write_groups(dir / "g.safetensors", sample());
  const Groups groups = read_groups(dir / "g.safetensors"), want = sample();
  CHECK(groups.tokens == want.tokens);
  CHECK(groups.segments == want.segments);
  CHECK(groups.group_segments == want.group_segments);
  CHECK(groups.pairs == want.pairs);
  CHECK(groups.pair_weights == want.pair_weights);
  CHECK(groups.segment_tiers == want.segment_tiers);
  CHECK(groups.segment_labels == want.segment_labels);
  CHECK(groups.segment_weights == want.segment_weights);
  CHECK(groups.token_mask == want.token_mask);
  CHECK_EQ(groups.n_groups(), 2);
  CHECK_EQ(groups.segment_tokens(2)[1], 5);
  CHECK_EQ(groups.prompt_of(1), 3);
  CHECK_EQ(groups.completions_end(0) - groups.completions_begin(0), 2);
}

TEST("optional tensors may be absent") {
  TempDir dir;
  Groups groups = sample();
  groups.has_pairs = false;
  groups.pairs.clear();
  groups.pair_weights.clear();
  groups.segment_tiers.clear();
  groups.token_mask.clear();
  write_groups(dir / "g.safetensors", groups);
  const Groups back = read_groups(dir / "g.safetensors");
  CHECK(!back.has_pairs);
  CHECK(back.token_mask.empty());
}

TEST("refuses every broken structure by its own reason") {
  const auto broken = [](auto change) {
    Groups groups = sample();
    change(groups);
    check_groups(groups, "g");
  };
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments[0] = 1; }), "segments[0] must be 0");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments[2] = 1; }), "segments[2] does not ascend");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments[5] = 8; }), "segments ends at 8, but there are 7 tokens");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments[1] = -5; }), "segments[1] does not ascend");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments.clear(); }), "segments is empty");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.group_segments = {0, 3, 3, 5}; }), "group_segments[2] does not ascend");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.group_segments = {0, 3}; }), "group_segments ends at 3, but there are 5 segments");
  CHECK_THROWS_WITH(broken([](Groups& g) { g = Groups{{}, {0}, {0}, false, {}, {}, {}, {}, {}, {}}; }), "holds no groups");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segments = {0, 2, 2, 5, 5, 7}; }), "group 0: completion 0 (segment 1) is empty");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pairs[0] = {1, 5}; }), "names segment 5, which does not exist");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pairs[0] = {-1, 1}; }), "names segment -1");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pairs[0] = {0, 1}; }), "which is a prompt");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pairs[0] = {1, 1}; }), "the same segment twice");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pairs[0] = {1, 4}; }), "two groups, 0 and 1");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pair_weights = {1, 1}; }), "pair_weights has 2 entries");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pair_weights = {NAN}; }), "pair_weights[0] is not a finite");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.pair_weights = {-1}; }), "pair_weights[0] is not a finite");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segment_weights[3] = INFINITY; }), "segment_weights[3]");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segment_tiers[0] = 0; }), "segment_tiers[0] must be -1: it is a prompt");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.segment_labels[1] = 2; }), "segment_labels[1] is 2");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.token_mask[6] = 2; }), "token_mask[6] must be 0 or 1");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.token_mask.pop_back(); }), "token_mask has 6 entries, but there are 7 tokens");
  CHECK_THROWS_WITH(broken([](Groups& g) { g.tokens[4] = -3; }), "tokens[4] is -3");
}

TEST("ids must be in the model's vocabulary") {
  check_groups_vocab(sample(), 8, "g");
  CHECK_THROWS_WITH(check_groups_vocab(sample(), 7, "g"), "group 1 holds the token id 7, but the model's vocabulary has 7");
}

static void write_raw(const std::string& path, std::vector<TensorOut> extra, const char* format = "groups.v1") {
  static const int32_t tokens[] = {1, 2};
  static const int64_t segments[] = {0, 1, 2}, group_segments[] = {0, 2};
  extra.push_back({"tokens", DType::I32, {2}, tokens});
  extra.push_back({"segments", DType::I64, {3}, segments});
  extra.push_back({"group_segments", DType::I64, {2}, group_segments});
  write_safetensors(path, extra, {{"format", format}});
}

TEST("refuses files that are not groups.v1") {
  TempDir dir;
  const std::string path = dir / "g";
  const int32_t ids[] = {1, 1};
  const float weights[] = {1, 1};
  write_raw(path, {});
  CHECK_EQ(read_groups(path).n_groups(), 1);
  write_raw(path, {}, "groups.v2");
  CHECK_THROWS_WITH(read_groups(path), "format is \"groups.v2\"");
  write_raw(path, {{"tiers", DType::I32, {2}, ids}});
  CHECK_THROWS_WITH(read_groups(path), "\"tiers\", which groups.v1 does not have");
  write_raw(path, {{"pairs", DType::I32, {2}, ids}});
  CHECK_THROWS_WITH(read_groups(path), "\"pairs\" has the shape [2]");
  write_raw(path, {{"pair_weights", DType::F32, {2}, weights}});
  CHECK_THROWS_WITH(read_groups(path), "pair_weights but no pairs");
  write_raw(path, {{"segment_weights", DType::I32, {2}, ids}});
  CHECK_THROWS_WITH(read_groups(path), "\"segment_weights\" is I32, but must be F32");
  write_raw(path, {{"segment_weights", DType::F32, {1, 2}, weights}});
  CHECK_THROWS_WITH(read_groups(path), "must have 1 dimension");
  write_raw(path, {{"segment_weights", DType::F32, {0}, weights}});
  CHECK_THROWS_WITH(read_groups(path), "segment_weights has 0 entries, but must have 2");
  write_safetensors(path, {{"tokens", DType::I32, {2}, ids}}, {{"format", "groups.v1"}});
  CHECK_THROWS_WITH(read_groups(path), "\"segments\" is missing");
  write_safetensors(path, {{"tokens", DType::I32, {2}, ids}}, {});
  CHECK_THROWS_WITH(read_groups(path), "format is missing");
}

TEST("reads the golden groups") {
  const std::string path = std::string(CONCORD_SHARED_DIR) + "/golden/llama/groups.safetensors";
  if (!path_exists(path)) SKIP("no golden folder beside the repository");
  const Groups groups = read_groups(path);
  CHECK_EQ(groups.n_groups(), 4);
  CHECK_EQ(groups.tokens.size(), size_t{145});
  CHECK_EQ(groups.pairs.size(), size_t{7});
}
