// Reference log-probabilities of DPO: computed once per data set and kept beside it.
// defines: ReferenceCache
#pragma once

#include <string>
#include <vector>

#include "run/step.h"

namespace concord {

struct ReferenceCache {
  std::string path;                 // <data file>.reference-<key>.safetensors
  std::vector<double> by_segment;   // empty until found or computed
  bool hit = false;
};

// Names the cache of this data (tokens as truncated) under this reference and these numerics, and reads it if it is there.
// `weights_hash` is of the base's values; `lora` null: the base with the adapter off.
ReferenceCache find_reference(const Dataset& data, const std::string& data_path, const std::string& weights_hash,
                              const Lora<float>* lora);

// Runs the reference over every group and writes the cache. A folder that cannot be written costs only the cache; said on stderr.
// Breaks off at a pending signal; then neither cache nor file is of use.
void compute_reference(ReferenceCache& cache, const Dataset& data, Decoder<float>& decoder, const Lora<float>* lora,
                       int64_t micro_batch_tokens);

}  // namespace concord
