// One group on its way from the file into the dataset: what the loss reads of it, cut to length.
// defines: GroupBuilder, add_mismatched
#pragma once

#include "run/dataset.h"

namespace concord {

class GroupBuilder {
 public:
  GroupBuilder(const Groups& file, const std::string& path, Signal signal, TruncationMode mode, int64_t max_length, DatasetReport& report)
      : file_(file), path_(path), signal_(signal), mode_(mode), max_length_(max_length), report_(report) {}

  // `pairs` name segments of the file; the result's pairs name its completions. Without completions where nothing is left to learn.
  TrainGroup build(GroupView view, const std::vector<TrainPair>& pairs);

 private:
  bool read_by_loss(const Completion& c, const std::vector<TrainPair>& pairs) const;
  void truncate(GroupView& view);
  void keep_end(GroupView& view);
  bool fits(const GroupView& view, const Completion& c);
  void place_pairs(TrainGroup& group, const std::vector<TrainPair>& pairs);
  void copy_marks(TrainGroup& group) const;
  void check_ties(const TrainGroup& group) const;

  const Groups& file_;
  const std::string& path_;
  Signal signal_;
  TruncationMode mode_;
  int64_t max_length_;
  DatasetReport& report_;
};

// Fills TrainGroup::mismatched: each prompt with the completions of the group before it, the first with those of the last, cut at
// max_length. TRL 1.13 does the same inside each batch of rows (trl/trainer/kto_trainer.py, add_kl_completion_ids); over the
// groups of the whole file, the partner of a prompt depends on no batch size and is never one of its own completions.
void add_mismatched(std::vector<TrainGroup>& groups, int64_t max_length, const std::string& path);

}  // namespace concord
