#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace concord {

double Schedule::rate(int64_t step) const {
  if (step < warmup_steps) return learning_rate * static_cast<double>(step) / static_cast<double>(warmup_steps);
  const double progress =
      static_cast<double>(step - warmup_steps) / static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  const double half_wave = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  switch (type) {
    case SchedulerType::constant:
    case SchedulerType::constant_with_warmup: return learning_rate;
    case SchedulerType::linear: return learning_rate * std::max(0.0, 1 - progress);
    case SchedulerType::cosine: return learning_rate * std::max(0.0, half_wave);
    case SchedulerType::cosine_with_min_lr: return learning_rate * std::max(0.0, half_wave * (1 - min_lr_rate) + min_lr_rate);
  }
  return learning_rate;
}

Schedule make_schedule(const Job& job, int64_t total_steps) {
  const double by_ratio = std::ceil(job.warmup_ratio * static_cast<double>(total_steps));
  const double floor = job.min_lr ? *job.min_lr / job.learning_rate : job.min_lr_rate.value_or(0);
  return {job.lr_scheduler_type, job.learning_rate, job.warmup_steps.value_or(static_cast<int64_t>(by_ratio)), total_steps, floor};
}

}  // namespace concord
