// The job's objective, its loss and that loss' options.
// defines: read_loss, add_loss
#pragma once

#include "run/job.h"

namespace concord {

// Reads objective, loss_type and the options of that loss; one that the loss does not use is refused by name.
void read_loss(const JsonAt& at, Job& job);

// Adds loss_type and the options in use, for the start event.
void add_loss(const Job& job, Json& out);

}  // namespace concord
