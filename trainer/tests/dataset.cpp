// What of a groups file a run trains on: cutting, dropping, and saying so.
#include "error.h"
#include "run/dataset.h"
#include "tiny_model.h"

using namespace concord;

namespace {

using tiny::Ids;

// Prompt 1 2 3 4 with completions of 2, 4 and 8 tokens.
Groups three_lengths() {
  Groups groups = tiny::GroupsFile().add({1, 2, 3, 4}, {{5, 6}, {7, 8, 9, 10}, {11, 12, 13, 14, 15, 16, 17, 18}}).groups;
  groups.has_pairs = true;
  groups.pairs = {{1, 2}, {2, 3}};
  return groups;
}

Dataset load(const Groups& groups, Signal signal, TruncationMode mode, int64_t max_length) {
  TempDir dir;
  write_groups(dir / "g.safetensors", groups);
  return load_dataset(dir / "g.safetensors", signal, mode, max_length, parse_model_config(tiny::config(), "config.json"));
}

Ids ids(std::span<const int32_t> tokens) { return {tokens.begin(), tokens.end()}; }

}  // namespace

TEST("what fits stays as it is") {
  const Dataset data = load(three_lengths(), Signal::completions, TruncationMode::drop, 12);
  CHECK_EQ(data.report.completions, 3);
  CHECK_EQ(data.report.tokens, 18);
  CHECK_EQ(data.report.dropped_too_long + data.report.truncated_completions, 0);
  CHECK_EQ(data.largest_group_tokens, 18);
  CHECK_EQ(data.longest_sequence_tokens, 12);
}

TEST("drop: a completion over max_length goes, and its pairs with it") {
  const Dataset sft = load(three_lengths(), Signal::completions, TruncationMode::drop, 8);
  CHECK_EQ(sft.report.completions, 2);
  CHECK_EQ(sft.report.dropped_too_long, 1);
  const Dataset dpo = load(three_lengths(), Signal::pairs, TruncationMode::drop, 8);
  CHECK_EQ(dpo.report.pairs, 1);
  CHECK_EQ(dpo.report.dropped_pairs, 1);
  CHECK_EQ(dpo.groups[0].pairs[0].chosen, 0);
  CHECK_EQ(dpo.groups[0].pairs[0].rejected, 1);
}

TEST("keep_start cuts a completion's end; one without room behind its prompt is dropped") {
  const Dataset data = load(three_lengths(), Signal::completions, TruncationMode::keep_start, 7);
  const auto& completions = data.groups[0].view.completions;
  CHECK(ids(data.groups[0].view.prompt) == Ids({1, 2, 3, 4}));
  CHECK(ids(completions[0].tokens) == Ids({5, 6}));
  CHECK(ids(completions[1].tokens) == Ids({7, 8, 9}));
  CHECK(ids(completions[2].tokens) == Ids({11, 12, 13}));
  CHECK_EQ(data.report.truncated_completions, 2);
  CHECK_THROWS_WITH(load(three_lengths(), Signal::completions, TruncationMode::keep_start, 4), "nothing to train on: all 1 groups were dropped");
}

TEST("keep_end cuts the front of the shared prompt, leaving one token, then a completion's own") {
  const Dataset some = load(three_lengths(), Signal::completions, TruncationMode::keep_end, 10);
  CHECK(ids(some.groups[0].view.prompt) == Ids({3, 4}));
  CHECK_EQ(some.groups[0].view.completions[2].tokens.size(), size_t{8});
  const Dataset more = load(three_lengths(), Signal::completions, TruncationMode::keep_end, 6);
  CHECK(ids(more.groups[0].view.prompt) == Ids({4}));
  CHECK(ids(more.groups[0].view.completions[0].tokens) == Ids({5, 6}));
  CHECK(ids(more.groups[0].view.completions[2].tokens) == Ids({14, 15, 16, 17, 18}));
}

TEST("a mask is cut with its completion") {
  Groups groups = three_lengths();
  for (size_t i = 0; i < groups.tokens.size(); i++) groups.token_mask.push_back(groups.tokens[i] % 2);
  for (const TruncationMode mode : {TruncationMode::keep_start, TruncationMode::keep_end}) {
    const Dataset data = load(groups, Signal::completions, mode, 7);
    for (const Completion& c : data.groups[0].view.completions)
      for (size_t i = 0; i < c.tokens.size(); i++) CHECK_EQ(int{c.mask[i]}, c.tokens[i] % 2);
  }
}

TEST("completions with nothing to learn are left out and counted") {
  Groups groups = tiny::GroupsFile().add({1}, {{2}, {3}, {4}}).add({}, {{5}, {6, 7}}).groups;
  groups.segment_weights = {1, 1, 0, 1, 1, 1, 1};
  groups.token_mask = {0, 1, 1, 0, 1, 1, 1};
  const Dataset data = load(groups, Signal::completions, TruncationMode::drop, 8);
  CHECK_EQ(data.report.completions, 2);
  CHECK_EQ(data.report.dropped_no_target, 3);  // weight 0, masked, a first token without a prompt
  CHECK_EQ(data.groups[1].view.completions[0].segment, 6);
}

TEST("DPO leaves out completions in no pair, and groups without a pair") {
  Groups groups = tiny::GroupsFile().add({1}, {{2}, {3}, {4}}).add({5}, {{6}, {7}}).groups;
  groups.has_pairs = true;
  groups.pairs = {{3, 1}};
  const Dataset data = load(groups, Signal::pairs, TruncationMode::drop, 8);
  CHECK_EQ(data.report.dropped_unpaired, 3);
  CHECK_EQ(data.report.dropped_groups, 1);
  CHECK_EQ(data.groups[0].pairs[0].chosen, 1);
  CHECK_EQ(data.groups[0].pairs[0].rejected, 0);
  groups.pairs.clear();
  CHECK_THROWS_WITH(load(groups, Signal::pairs, TruncationMode::drop, 8), "objective dpo needs the tensor `pairs`");
}

TEST("micro-batches: whole groups in order, at most so many tokens, a larger group alone") {
  CHECK(micro_batch_ends({3, 3, 3}, 6) == std::vector<size_t>({2, 3}));
  CHECK(micro_batch_ends({9, 1, 1}, 4) == std::vector<size_t>({1, 3}));
  CHECK(micro_batch_ends({1, 9, 1}, 4) == std::vector<size_t>({1, 2, 3}));
  CHECK(micro_batch_ends({}, 4).empty());
}

TEST("a completion that lost its partners goes with them") {
  Groups groups = tiny::GroupsFile().add({1, 2}, {{3, 4}, {5, 6}, {7}, {8, 9, 10, 11}}).groups;
  groups.has_pairs = true;
  groups.pairs = {{1, 2}, {3, 4}};
  const Dataset data = load(groups, Signal::pairs, TruncationMode::drop, 5);
  CHECK_EQ(data.report.dropped_too_long, 1);
  CHECK_EQ(data.report.dropped_pairs, 1);
  CHECK_EQ(data.report.dropped_unpaired, 1);
  CHECK_EQ(data.report.completions, 2);
}

TEST("rankings: unranked completions and groups of one tier are left out; tiers stay with their completions") {
  Groups groups = tiny::GroupsFile().add({1}, {{2}, {3}, {4}}).add({5}, {{6}, {7}}).add({8}, {{9}, {10, 11, 12}}).groups;
  CHECK_THROWS_WITH(load(groups, Signal::tiers, TruncationMode::drop, 8), "loss_type plackett_luce needs the tensor `segment_tiers`");
  groups.segment_tiers = {-1, 2, -1, 0, -1, 1, 1, -1, 0, 1};
  const Dataset data = load(groups, Signal::tiers, TruncationMode::drop, 3);
  CHECK_EQ(data.report.groups, 1);
  CHECK(data.groups[0].tiers == std::vector<int32_t>({2, 0}));
  CHECK_EQ(data.groups[0].view.completions[1].segment, 3);
  CHECK_EQ(data.report.dropped_unpaired, 1);
  CHECK_EQ(data.report.dropped_groups, 2);  // a tie of all, and a ranking of which one is left
}

TEST("rankings: more tied completions than can be counted exactly are refused, except in the last tier") {
  std::vector<Ids> completions(18, Ids{3});
  Groups groups = tiny::GroupsFile().add({1}, completions).groups;
  groups.segment_tiers.assign(19, 0);
  groups.segment_tiers[0] = -1;
  groups.segment_tiers[18] = 1;
  CHECK_THROWS_WITH(load(groups, Signal::tiers, TruncationMode::drop, 8), "group 0 has 17 completions in tier 0, but only its last tier may have more than 16");
  groups.segment_tiers[17] = 1;
  CHECK_EQ(load(groups, Signal::tiers, TruncationMode::drop, 8).report.completions, 18);
  for (int i = 1; i < 18; i++) groups.segment_tiers[i] = 1;
  groups.segment_tiers[18] = 0;
  CHECK_EQ(load(groups, Signal::tiers, TruncationMode::drop, 8).report.completions, 18);
}

TEST("votes: each prompt also with the completions of the group before it, cut at max_length") {
  Groups groups = tiny::GroupsFile().add({1}, {{2}, {3, 4}}).add({5, 6, 7}, {{8}, {9}}).add({10}, {{11, 12, 13}}).groups;
  CHECK_THROWS_WITH(load(groups, Signal::labels, TruncationMode::drop, 4), "loss_type kto needs the tensor `segment_labels`");
  groups.segment_labels = {-1, 0, 1, -1, -1, 1, -1, 0};
  const Dataset data = load(groups, Signal::labels, TruncationMode::drop, 4);
  CHECK_EQ(data.report.completions, 4);
  CHECK_EQ(data.report.dropped_unpaired, 1);
  CHECK(data.groups[0].labels == std::vector<int32_t>({0, 1}));
  CHECK(ids(data.groups[0].mismatched.prompt) == Ids({1}));
  CHECK(ids(data.groups[0].mismatched.completions[0].tokens) == Ids({11, 12, 13}));
  CHECK_EQ(data.groups[1].mismatched.completions.size(), size_t{2});
  CHECK(ids(data.groups[1].mismatched.completions[1].tokens) == Ids({3}));  // cut
  CHECK(ids(data.groups[2].mismatched.completions[0].tokens) == Ids({9}));
  CHECK_EQ(data.largest_group_tokens, 5);  // 5 6 7 before 2 and 3
  groups.segment_labels = {-1, 0, 1, -1, -1, -1, -1, -1};
  CHECK_THROWS_WITH(load(groups, Signal::labels, TruncationMode::drop, 4), "loss_type kto needs at least two groups with a label");
}
