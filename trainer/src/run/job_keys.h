// The names of the job's keys, for refusing others.
// defines: check_job_keys
#pragma once

#include <string>
#include <vector>

#include "io/json.h"

namespace concord {

// Throws Failure(2) for the first key that `train` does not have, with the nearest one that it has.
void check_job_keys(const JsonAt& job);

// The candidate that is nearest to `word` by edits, or "" if none is near. Used for flags as well.
std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace concord
