// Where a run stands, and whether a job may go on from there.
// defines: Progress, RunExtent, progress_json, read_progress
#pragma once

#include <cmath>
#include <string>

#include "run/job.h"

namespace concord {

struct Progress {
  int64_t step = 0;        // optimizer steps done
  int64_t last_eval = -1;  // the step that was evaluated last
  double best_loss = INFINITY;
  int64_t best_step = 0, evals_since_best = 0;
};

// What job and data make of a run.
struct RunExtent {
  int64_t steps_per_epoch = 0, total_steps = 0;
  std::string train_file_sha256;
  std::string reference_key;  // ReferenceCache::key; empty where the loss has no reference
};

// What a checkpoint keeps beside the numbers trained.
Json progress_json(const Progress&, const Job&, const RunExtent&);

// Failure(2), naming the key, where this job or its data would not continue the same run.
Progress read_progress(const Json& saved, const std::string& checkpoint, const Job&, const RunExtent&);

}  // namespace concord
