// Reference log-probabilities: computed once per data set and kept beside it.
// defines: ReferenceCache, find_reference, compute_reference
#pragma once

#include <string>

#include "run/step.h"

namespace concord {

struct ReferenceCache {
  std::string key;       // SHA-256 of all that the numbers depend on
  std::string path;      // <data file>.reference-<start of the key>.safetensors
  ReferenceLogps logps;  // empty until found or computed
  bool hit = false;
};

// Names the cache of this data (tokens as truncated, masks and mismatched completions) under this reference and these numerics, and
// reads it if it is there and whole; one that was changed or cut is passed over, said on stderr, and computed again.
// `numerics` names how the device computes; `base_key` is of the base's values and configuration; `lora` null: the base with the adapter
// off.
ReferenceCache find_reference(const Dataset& data, const std::string& data_path, const std::string& numerics, const std::string& base_key,
                              const Lora<Cpu, float>* lora);

// Fills `logps` with the log-probabilities of a batch's rows under the reference.
using ReferenceScorer = std::function<void(const PackedBatch& batch, std::vector<float>& logps)>;

// Runs the reference over every group, each rank over its share, and rank 0 writes the cache, whole or not at all, so that runs side by side may do so at once. A folder
// that cannot be written costs only the cache; said on stderr. Breaks off at a pending signal; then neither cache nor file is of use.
void compute_reference(ReferenceCache& cache, const Dataset& data, const ReferenceScorer& scorer, int64_t micro_batch_tokens,
                       Communicator& ranks = Communicator::alone());

}  // namespace concord
