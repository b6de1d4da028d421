// How the ranks of a run divide its work.
// defines: share_of, agreed_signal
#pragma once

#include <span>

#include "ranks/communicator.h"
#include "run/dataset.h"

namespace concord {

// This rank's part of the groups: neighbours, the ranks in order, with about as many tokens as any other's. It follows from the groups
// alone, whatever each rank's micro-batches are.
std::span<const int64_t> share_of(const Dataset& data, std::span<const int64_t> groups, const Communicator& ranks);

// A signal that any rank has got, the same on all.
int agreed_signal(Communicator& ranks);

}  // namespace concord
