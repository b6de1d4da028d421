#include "run/reference.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "error.h"
#include "io/safetensors.h"
#include "run/sha256.h"
#include "run/shares.h"

namespace concord {
namespace {

constexpr const char* kFormat = "reference.v2";

// Parts with their lengths, so that no two inputs run together into the same bytes.
class Key {
 public:
  template <class T>
  void add(std::span<const T> values) {
    const uint64_t n = values.size();
    hash_.update({reinterpret_cast<const char*>(&n), sizeof n});
    hash_.update({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  void add(std::string_view text) { add(std::span<const char>(text)); }
  void add(int64_t number) { add(std::span<const int64_t>(&number, 1)); }
  void add(const GroupView& view) {
    add(view.prompt);
    add(static_cast<int64_t>(view.completions.size()));
    for (const Completion& c : view.completions) {
      add(c.segment);
      add(c.tokens);
      add(c.mask);
    }
  }
  void add(const Lora<Cpu, float>& lora) {
    Json config = adapter_config_json(lora.config);
    config.set("base_model_name_or_path", Json());  // where the base lies changes nothing
    add(std::string_view(to_text(config)));
    for (const auto& m : lora.modules) {
      add(std::string_view(m.name));
      add(std::span<const double>(&m.scaling, 1));
    }
    add(std::span<const float>(lora.values));
  }
  std::string hex() { return hash_.hex(); }

 private:
  Sha256 hash_;
};

std::string cache_key(const Dataset& data, const std::string& numerics, const std::string& base_key, const Lora<Cpu, float>* lora) {
  Key key;
  key.add(std::string_view(numerics));
  key.add(std::string_view(base_key));
  key.add(static_cast<int64_t>(data.groups.size()));
  for (const TrainGroup& group : data.groups) {
    key.add(group.view);
    key.add(group.mismatched);
  }
  if (lora) key.add(*lora);
  return key.hex();
}

std::string checksum(const ReferenceLogps& logps) {
  Key key;
  key.add(std::span<const double>(logps.by_segment));
  key.add(std::span<const double>(logps.mismatched));
  return key.hex();
}

std::vector<double> doubles(const SafetensorsFile& file, const char* name, int64_t n) {
  const TensorView* view = file.find(name);
  if (!view || view->dtype != DType::F64 || view->shape != std::vector<int64_t>{n})
    bad_input(file.path + ": has no " + name + " of " + std::to_string(n) + " numbers");
  std::vector<double> values(static_cast<size_t>(n));
  std::memcpy(values.data(), view->data, view->bytes);
  return values;
}

ReferenceLogps read_cache(const ReferenceCache& cache, int64_t segments, int64_t groups) {
  const SafetensorsFile file = read_safetensors(cache.path);
  const auto metadata_is = [&](const char* name, const std::string& value) {
    const std::string* found = file.find_metadata(name);
    return found && *found == value;
  };
  if (!metadata_is("format", kFormat) || !metadata_is("key", cache.key)) bad_input(cache.path + ": is of other data or another reference");
  ReferenceLogps logps{doubles(file, "reference_logps", segments), doubles(file, "reference_mismatched_logps", groups)};
  if (!metadata_is("sha256", checksum(logps))) bad_input(cache.path + ": was changed after it was written");
  return logps;
}

void write_cache(const ReferenceCache& cache) {
  const auto tensor = [](const char* name, const std::vector<double>& values) {
    return TensorOut{name, DType::F64, {static_cast<int64_t>(values.size())}, values.data()};
  };
  write_safetensors(cache.path,
                    {tensor("reference_logps", cache.logps.by_segment), tensor("reference_mismatched_logps", cache.logps.mismatched)},
                    {{"format", kFormat}, {"key", cache.key}, {"sha256", checksum(cache.logps)}});
}

bool all_finite(const ReferenceLogps& logps) {
  for (const auto* values : {&logps.by_segment, &logps.mismatched})
    for (const double v : *values)
      if (!std::isfinite(v)) return false;
  return true;
}

// f(completion, sum of log-probabilities) for every completion of the views.
template <class F>
void for_completions(std::span<const GroupView* const> views, const ReferenceScorer& scorer, int64_t micro_batch_tokens, F&& f) {
  std::vector<float> logps;
  size_t before = 0;  // views of earlier micro-batches
  for_micro_batches(views, micro_batch_tokens, [&](const PackedBatch& batch) {
    scorer(batch, logps);
    const std::vector<double> sums = sequence_logps(batch, logps);
    for (size_t c = 0; c < sums.size(); c++) f(before + static_cast<size_t>(batch.completions[c].group), batch.completions[c].segment, sums[c]);
    before += batch.groups.size();
  });
}

}  // namespace

ReferenceCache find_reference(const Dataset& data, const std::string& data_path, const std::string& numerics, const std::string& base_key,
                              const Lora<Cpu, float>* lora) {
  ReferenceCache cache;
  cache.key = cache_key(data, numerics, base_key, lora);
  cache.path = data_path + ".reference-" + cache.key.substr(0, 16) + ".safetensors";
  if (!path_exists(cache.path)) return cache;
  try {
    cache.logps = read_cache(cache, data.file->n_segments(), static_cast<int64_t>(data.groups.size()));
    cache.hit = true;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "reference cache not used: %s\n", failure.what());
  }
  return cache;
}

void compute_reference(ReferenceCache& cache, const Dataset& data, const ReferenceScorer& scorer, int64_t micro_batch_tokens, Communicator& ranks) {
  cache.logps.by_segment.assign(data.file->n_segments(), 0.0);
  cache.logps.mismatched.assign(data.groups.size(), 0.0);
  std::vector<const GroupView*> views, mismatched;
  std::vector<size_t> group_of;  // of each of the mismatched
  std::vector<int64_t> all(data.groups.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  for (const int64_t g : share_of(data, all, ranks)) {
    views.push_back(&data.groups[g].view);
    if (data.groups[g].mismatched.completions.empty()) continue;
    mismatched.push_back(&data.groups[g].mismatched);
    group_of.push_back(static_cast<size_t>(g));
  }
  for_completions(views, scorer, micro_batch_tokens,
                  [&](size_t, int64_t segment, double sum) { cache.logps.by_segment[segment] = sum; });
  for_completions(mismatched, scorer, micro_batch_tokens,
                  [&](size_t view, int64_t, double sum) { cache.logps.mismatched[group_of[view]] += sum; });
  ranks.sum(std::span(cache.logps.by_segment));
  ranks.sum(std::span(cache.logps.mismatched));
  if (agreed_signal(ranks) != 0 || !ranks.first() || !all_finite(cache.logps)) return;
  try {
    write_cache(cache);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "reference log-probabilities are not cached: %s\n", failure.what());
  }
}

}  // namespace concord
