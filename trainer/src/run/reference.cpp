#include "run/reference.h"

#include <cstdio>
#include <cstring>

#include "error.h"
#include "io/safetensors.h"
#include "run/sha256.h"
#include "run/signals.h"

namespace concord {
namespace {

// Changes whenever the numbers this program computes for the same input may change.
constexpr const char* kNumerics = "cpu-f32-1";

template <class T>
void append_bytes(std::string& to, std::span<const T> values) {
  const uint64_t n = values.size();
  to.append(reinterpret_cast<const char*>(&n), sizeof n);
  to.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

std::string cache_key(const Dataset& data, const std::string& weights_hash, const Lora<float>* lora) {
  std::string material = std::string(kNumerics) + weights_hash;
  for (const TrainGroup& group : data.groups) {
    append_bytes(material, group.view.prompt);
    for (const Completion& c : group.view.completions) {
      material += std::to_string(c.segment) + " ";
      append_bytes(material, c.tokens);
      append_bytes(material, c.mask);
    }
  }
  if (lora) {
    for (const auto& m : lora->modules) material += m.name + " " + std::to_string(m.scaling) + " ";
    append_bytes(material, std::span<const float>(lora->values));
  }
  return sha256_hex(material);
}

// False where the file is not a cache of this many segments: then it is computed again.
bool read_cache(ReferenceCache& cache, int64_t segments) {
  if (!path_exists(cache.path)) return false;
  try {
    const SafetensorsFile file = read_safetensors(cache.path);
    const TensorView* logps = file.find("reference_logps");
    if (!logps || logps->dtype != DType::F64 || logps->shape != std::vector<int64_t>{segments}) return false;
    cache.by_segment.resize(segments);
    std::memcpy(cache.by_segment.data(), logps->data, logps->bytes);
    return true;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "reference cache not used: %s\n", failure.what());
    return false;
  }
}

}  // namespace

ReferenceCache find_reference(const Dataset& data, const std::string& data_path, const std::string& weights_hash,
                              const Lora<float>* lora) {
  ReferenceCache cache;
  cache.path = data_path + ".reference-" + cache_key(data, weights_hash, lora).substr(0, 16) + ".safetensors";
  cache.hit = read_cache(cache, data.file->n_segments());
  return cache;
}

void compute_reference(ReferenceCache& cache, const Dataset& data, Decoder<float>& decoder, const Lora<float>* lora,
                       int64_t micro_batch_tokens) {
  cache.by_segment.assign(data.file->n_segments(), 0.0);
  std::vector<const GroupView*> views;
  for (const TrainGroup& group : data.groups) views.push_back(&group.view);
  std::vector<float> logps;
  for_micro_batches(views, micro_batch_tokens, [&](const PackedBatch& batch) {
    if (pending_signal() != 0) return;
    decoder.forward(batch, lora);
    logps.resize(batch.n_rows());
    decoder.head_logps(batch, logps.data());
    const std::vector<double> sums = sequence_logps(batch, logps);
    for (size_t c = 0; c < sums.size(); c++) cache.by_segment[batch.completions[c].segment] = sums[c];
  });
  if (pending_signal() != 0) return;
  try {
    const TensorOut tensor{"reference_logps", DType::F64, {data.file->n_segments()}, cache.by_segment.data()};
    write_safetensors(cache.path, {tensor}, {{"format", "reference.v1"}});
  } catch (const Failure& failure) {
    std::fprintf(stderr, "reference log-probabilities are not cached: %s\n", failure.what());
  }
}

}  // namespace concord
