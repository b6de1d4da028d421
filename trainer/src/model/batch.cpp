#include "model/batch.h"

#include <algorithm>

namespace concord {
namespace {

bool is_target(const GroupView& group, const Completion& completion, size_t i) {
  if (i == 0 && group.prompt.empty()) return false;
  return completion.mask.empty() || completion.mask[i] != 0;
}

// Appends a segment's tokens; returns its first row.
int32_t append_segment(PackedBatch& batch, std::span<const int32_t> tokens, int32_t first_position,
                       AttentionSegment prefix) {
  const auto begin = static_cast<int32_t>(batch.tokens.size());
  const auto n = static_cast<int32_t>(tokens.size());
  batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
  for (int32_t i = 0; i < n; i++) batch.positions.push_back(first_position + i);
  batch.segments.push_back({begin, begin + n, prefix.begin, prefix.end});
  return begin;
}

int32_t first_row(const GroupView& group, bool is_long) { return static_cast<int32_t>(is_long ? group.longrope_length : 0); }

AttentionSegment append_prompt(PackedBatch& batch, const GroupView& group, bool is_long) {
  if (group.prompt.empty()) return {};
  const int32_t begin = append_segment(batch, group.prompt, first_row(group, is_long), {});
  return {begin, static_cast<int32_t>(batch.tokens.size()), 0, 0};
}

void append_completion(PackedBatch& batch, const GroupView& group, const Completion& completion, AttentionSegment prompt) {
  const int32_t position = first_row(group, group.is_long(completion)) + static_cast<int32_t>(group.prompt.size());
  const int32_t begin = append_segment(batch, completion.tokens, position, prompt);
  PackedCompletion packed{completion.segment, static_cast<int64_t>(batch.groups.size()),
                          static_cast<int32_t>(batch.rows.size()), 0, completion.weight};
  for (size_t i = 0; i < completion.tokens.size(); i++) {
    if (!is_target(group, completion, i)) continue;
    batch.rows.push_back(i == 0 ? prompt.end - 1 : begin + static_cast<int32_t>(i) - 1);
    batch.targets.push_back(completion.tokens[i]);
  }
  packed.row_end = static_cast<int32_t>(batch.rows.size());
  batch.completions.push_back(packed);
}

}  // namespace

bool GroupView::has(bool long_ones) const {
  if (completions.empty()) return is_long(static_cast<int64_t>(prompt.size())) == long_ones;
  return std::any_of(completions.begin(), completions.end(), [&](const Completion& c) { return is_long(c) == long_ones; });
}

int64_t GroupView::tokens() const {
  int64_t n = static_cast<int64_t>(prompt.size()) * (has(true) && has(false) ? 2 : 1);
  for (const Completion& c : completions) n += static_cast<int64_t>(c.tokens.size());
  return n;
}

int64_t predicted_tokens(const GroupView& group, const Completion& completion) {
  int64_t n = 0;
  for (size_t i = 0; i < completion.tokens.size(); i++) n += is_target(group, completion, i);
  return n;
}

void pack(std::span<const GroupView* const> groups, PackedBatch& batch) {
  batch.tokens.clear();
  batch.positions.clear();
  batch.token_ids.clear();
  batch.segments.clear();
  batch.groups.clear();
  batch.attention.clear();
  batch.rows.clear();
  batch.targets.clear();
  batch.completions.clear();
  for (const GroupView* group : groups) {
    const auto first = static_cast<int32_t>(batch.segments.size());
    AttentionSegment prompts[2];
    for (const bool is_long : {false, true})
      if (group->has(is_long)) prompts[is_long] = append_prompt(batch, *group, is_long);
    for (const Completion& completion : group->completions) append_completion(batch, *group, completion, prompts[group->is_long(completion)]);
    batch.groups.push_back({first, static_cast<int32_t>(batch.segments.size())});
    batch.attention.add_group(std::span(batch.segments).subspan(first));
    for (uint64_t i = 0; batch.token_ids.size() < batch.tokens.size(); i++)
      batch.token_ids.push_back(static_cast<uint64_t>(group->group) << 32 | i);
  }
}

}  // namespace concord
