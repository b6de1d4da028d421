// What keeps the ranks of a run one run: the same job and files at the start, rank 0's checkpoint and references, the same numbers trained.
// defines: require_same_job, require_same_data, require_same_parameters, share_state, share_reference
#pragma once

#include "ranks/communicator.h"
#include "run/reference.h"
#include "run/trained_model.h"

namespace concord {

// Failure(2), on every rank, naming the rank that differs and in what.
void require_same_job(Communicator& ranks, const Job& job);
void require_same_data(Communicator& ranks, const Job& job, const TrainedModel& model, const std::string& train_file_sha256);
// Processors of different kinds may round differently.
void require_same_parameters(Communicator& ranks, TrainedModel& model, int64_t step);

// Rank 0's, on all.
void share_state(Communicator& ranks, TrainedModel& model);
void share_reference(Communicator& ranks, ReferenceCache& cache, const Dataset& data);

}  // namespace concord
