// groups.v1: prompts and the completions that share them (trainer-contract, "Groups file").
// defines: Groups, read_groups, write_groups, check_groups_fit
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace concord {

struct Groups {
  std::vector<int32_t> tokens;          // [T]
  std::vector<int64_t> segments;        // [S+1]
  std::vector<int64_t> group_segments;  // [G+1]
  // Optional tensors; empty where the file has none.
  bool has_pairs = false;  // a file may hold a pairs tensor of 0 rows
  std::vector<std::array<int32_t, 2>> pairs;  // (chosen, rejected): segment indices
  std::vector<float> pair_weights;            // [P]
  std::vector<int32_t> segment_tiers;         // [S]
  std::vector<int32_t> segment_labels;        // [S]
  std::vector<float> segment_weights;         // [S]
  std::vector<uint8_t> token_mask;            // [T]

  int64_t n_segments() const { return static_cast<int64_t>(segments.size()) - 1; }
  int64_t n_groups() const { return static_cast<int64_t>(group_segments.size()) - 1; }
  int64_t prompt_of(int64_t g) const { return group_segments[g]; }            // segment index
  int64_t completions_begin(int64_t g) const { return group_segments[g] + 1; }
  int64_t completions_end(int64_t g) const { return group_segments[g + 1]; }
  int64_t segment_length(int64_t s) const { return segments[s + 1] - segments[s]; }
  std::span<const int32_t> segment_tokens(int64_t s) const {
    return std::span(tokens).subspan(segments[s], segment_length(s));
  }
};

// Every structural check: offsets ascend and end at T and S, every group owns a prompt (maybe empty, maybe without completions, as
// generation has them), completions are not empty, pairs lie inside one group, weights are finite and not negative (a sum of 0 is the
// caller's to handle), no unknown tensor. Failure(2) names file, tensor and index.
Groups read_groups(const std::string& path);

// The same checks on a Groups built in memory (read and write call it); `path` is for messages.
void check_groups(const Groups& groups, const std::string& path);

// Every id is below vocab_size, else Failure(2) naming group and id.
void check_groups_vocab(const Groups& groups, int64_t vocab_size, const std::string& path);

void write_groups(const std::string& path, const Groups& groups);

}  // namespace concord
