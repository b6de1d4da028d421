#include "run/base_hash.h"

#include <algorithm>

namespace concord {
namespace {

constexpr int64_t kSample = 1024;  // elements of each weight
// The key is the hash of the hashes of chunks, which several cores compute at once: one alone would take half a minute for 8 billion weights.
constexpr size_t kChunk = 1 << 16, kChunksOfWorker = 4;

template <class T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

template <class T>
std::span<const T> start_of(std::span<const T> values, int64_t n) {
  return values.first(std::min(static_cast<size_t>(std::max<int64_t>(0, n)), values.size()));
}

}  // namespace

BaseHash::BaseHash(Cpu& cpu, const Json& config_json, bool all) : cpu_(cpu), all_(all) { key_.update(to_text(config_json)); }

void BaseHash::add(const WeightSpec&, int64_t begin, std::span<const float> values) {
  sample_.update(bytes_of(start_of(values, kSample - begin)));
  add_to_key(bytes_of(values));
}

void BaseHash::add(const LinearSpec&, const QuantizedMatrix& matrix) {
  const auto sample = [&](auto values) { sample_.update(bytes_of(start_of(values, kSample))); };
  sample(std::span(matrix.codes));
  sample(std::span(matrix.scales));
  const auto whole = [&](auto values) { add_to_key(bytes_of(values)); };
  whole(std::span(matrix.codes));
  whole(std::span(matrix.scales));
  whole(std::span(matrix.scale_codes));
  whole(std::span(matrix.scale_scales));
  whole(std::span(&matrix.scale_mean, 1));
}

std::string BaseHash::key() {
  if (!all_) return "";
  hash_waiting();
  return key_.hex();
}

void BaseHash::add_to_key(std::string_view bytes) {
  if (!all_) return;
  while (!bytes.empty()) {
    if (waiting_.empty() || waiting_.back().size() == kChunk) {
      if (waiting_.size() == kChunksOfWorker * static_cast<size_t>(cpu_.threads())) hash_waiting();
      waiting_.emplace_back().reserve(kChunk);
    }
    std::string& chunk = waiting_.back();
    const size_t some = std::min(bytes.size(), kChunk - chunk.size());
    chunk.append(bytes.substr(0, some));
    bytes.remove_prefix(some);
  }
}

void BaseHash::hash_waiting() {
  cpu_.for_each(std::ssize(waiting_), [&](int64_t i, int) { waiting_[i] = sha256_hex(waiting_[i]); });
  for (const std::string& hash : waiting_) key_.update(hash);
  waiting_.clear();
}

}  // namespace concord
