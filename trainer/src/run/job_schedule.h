// The learning rate's course in a job: lr_scheduler_type, its kwargs and the warmup.
// defines: read_schedule, add_schedule
#pragma once

#include "io/json.h"
#include "run/job.h"

namespace concord {

void read_schedule(const JsonAt& at, Job& job);  // after learning_rate
void add_schedule(const Job& job, Json& out);

}  // namespace concord
