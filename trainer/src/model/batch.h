// A micro-batch: several groups packed into one [tokens, hidden] block without padding.
//
//   group 0: prompt | completion | completion      group 1: prompt | completion ...
//
// A completion starts at its prompt's length in position and attends to the prompt and itself, so its results are those
// of running prompt + completion alone, while the prompt is computed once. Only where longrope turns some of its sequences
// by other angles than the rest is the prompt there twice.
#pragma once

#include <span>
#include <vector>

#include "ops/ops.h"

namespace concord {

// One completion as the model shall see it; truncation has happened.
struct Completion {
  int64_t segment = 0;               // index in the groups file
  std::span<const int32_t> tokens;
  std::span<const uint8_t> mask;     // empty: every token is a target
  float weight = 1;
};

struct GroupView {
  int64_t group = 0;                 // index in the groups file
  std::span<const int32_t> prompt;   // may be empty
  std::vector<Completion> completions;
  int64_t longrope_length = 0;       // of the model: longer sequences turn by other angles; 0: none do

  bool is_long(int64_t sequence_tokens) const { return longrope_length > 0 && sequence_tokens > longrope_length; }
  bool is_long(const Completion& c) const { return is_long(static_cast<int64_t>(prompt.size() + c.tokens.size())); }
  bool has(bool long_ones) const;    // whether any of its sequences is long, or is not
  int64_t tokens() const;            // in a batch
};

struct PackedCompletion {
  int64_t segment = 0;
  int64_t group = 0;                      // index among the packed groups
  int32_t row_begin = 0, row_end = 0;     // its rows of `rows` and `targets`
  float weight = 1;
};

struct PackedBatch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;          // [T] as rows of the rope table: a long sequence's lie longrope_length further down
  std::vector<uint64_t> token_ids;         // [T] group of the file and place in it: the same in whatever batch a token is
  std::vector<AttentionSegment> segments;
  std::vector<IndexRange> groups;          // of segments
  AttentionLists attention;
  // Row r of the head reads hidden state rows[r] and predicts targets[r]. A prompt's last state appears once for every
  // completion that follows it.
  std::vector<int32_t> rows, targets;      // [R]
  std::vector<PackedCompletion> completions;

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t n_rows() const { return static_cast<int64_t>(rows.size()); }
};

// Tokens of a completion that are predicted and counted: its masked-in tokens, less the first where there is no prompt.
int64_t predicted_tokens(const GroupView& group, const Completion& completion);

// Replaces `batch`; no allocation once its vectors have grown.
void pack(std::span<const GroupView* const> groups, PackedBatch& batch);

}  // namespace concord
