#include "run/base_hash.h"

#include <algorithm>

namespace concord {
namespace {

constexpr int64_t kSample = 1024;  // elements of each weight

template <class T>
void add_to(Sha256& hash, std::span<const T> values) {
  hash.update({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

template <class T>
std::span<const T> start_of(std::span<const T> values, int64_t n) {
  return values.first(std::min(static_cast<size_t>(std::max<int64_t>(0, n)), values.size()));
}

}  // namespace

BaseHash::BaseHash(const Json& config_json, bool all) : all_(all) { key_.update(to_text(config_json)); }

void BaseHash::add(const WeightSpec&, int64_t begin, std::span<const float> values) {
  add_to(sample_, start_of(values, kSample - begin));
  if (all_) add_to(key_, values);
}

void BaseHash::add(const LinearSpec&, const QuantizedMatrix& matrix) {
  add_to(sample_, start_of(std::span(matrix.codes), kSample));
  add_to(sample_, start_of(std::span(matrix.scales), kSample));
  if (!all_) return;
  add_to(key_, std::span(matrix.codes));
  add_to(key_, std::span(matrix.scales));
  add_to(key_, std::span(matrix.scale_codes));
  add_to(key_, std::span(matrix.scale_scales));
  add_to(key_, std::span(&matrix.scale_mean, 1));
}

}  // namespace concord
