#pragma once

#include <cstdint>

#include "run/job.h"

namespace concord {

struct Schedule {
  SchedulerType type = SchedulerType::linear;
  double learning_rate = 0;
  int64_t warmup_steps = 0, total_steps = 0;
  double min_lr_rate = 0;  // of cosine_with_min_lr: where the cosine ends, as a share of learning_rate

  // The rate of optimizer step `step`, counted from 0. As in transformers (optimization.py): with a warmup the very first
  // step has rate 0, step `warmup_steps` the full rate, and step `total_steps` (never taken) would have 0, or min_lr_rate of it.
  // `constant_with_warmup` stays at the full rate after the warmup.
  double rate(int64_t step) const;
};

// warmup_steps if given, else ceil(warmup_ratio * total_steps).
Schedule make_schedule(const Job& job, int64_t total_steps);

}  // namespace concord
