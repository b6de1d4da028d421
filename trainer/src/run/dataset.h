// What a training run sees of a groups file: groups that fit, in a fixed order.
// defines: Dataset, TrainGroup, load_dataset, DatasetReport
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/groups.h"
#include "model/batch.h"
#include "run/job.h"

namespace concord {

struct TrainPair {
  int32_t chosen = 0, rejected = 0;  // indices into TrainGroup::view.completions
  float weight = 1;
};

struct TrainGroup {
  GroupView view;
  // What the job's loss reads of it (Job::signal), the others empty.
  std::vector<TrainPair> pairs;
  std::vector<int32_t> tiers;   // of each completion, 0 best
  std::vector<int32_t> labels;  // of each completion, 1 desirable, 0 undesirable
  // KTO: this group's prompt before the completions of the group before it, to estimate how far the policy is from its reference.
  GroupView mismatched;
};

// What was left out or cut, and why; reported in the start event, never silent.
struct DatasetReport {
  int64_t groups = 0, completions = 0, pairs = 0, tokens = 0;  // in use
  int64_t truncated_completions = 0;  // cut to max_length (keep_start, keep_end)
  int64_t dropped_too_long = 0;       // completions over max_length (drop), or with no room after their prompt
  int64_t dropped_no_target = 0;      // completions without a predicted token
  int64_t dropped_unpaired = 0;       // completions the loss does not read: in no pair, without a tier or a label
  int64_t dropped_pairs = 0;          // one side was dropped, or the weight is 0
  int64_t dropped_groups = 0;         // nothing of the group was left
};

struct Dataset {
  std::unique_ptr<Groups> file;  // the views point into it
  std::vector<TrainGroup> groups;
  DatasetReport report;
  int64_t largest_group_tokens = 0;
  int64_t longest_sequence_tokens = 0;  // prompt + completion

  void cover(const GroupView& view);  // takes it into account in the two above
  int64_t memory_bytes() const;       // of the file's tensors and the views
};

// The job's max_length, or the model's max_position_embeddings where it gives none; Failure(2) if it is more than that.
int64_t resolve_max_length(const Job& job, const ModelConfig& config);

// Reads, checks ids against the vocabulary, truncates as the job says. `max_length` is resolved (never 0).
Dataset load_dataset(const std::string& path, Signal signal, TruncationMode mode, int64_t max_length, const ModelConfig& config);

Json report_json(const DatasetReport& report);

// Every completion as it stands, for score and generate.
std::vector<GroupView> whole_groups(const Groups& file, const ModelConfig& config);

// Cuts [first, last) of `order` into micro-batches: whole groups in order, at most `tokens_max` together (a larger group
// stands alone). Returns the end of each.
std::vector<size_t> micro_batch_ends(const std::vector<int64_t>& group_tokens, int64_t tokens_max);

}  // namespace concord
