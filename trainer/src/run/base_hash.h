// What names a base, computed while it is read: the same on every device.
// defines: BaseHash
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "model/base.h"
#include "run/sha256.h"

namespace concord {

class BaseHash : public BaseSink {
 public:
  // Without `all` there is no key(): the hash of a large base takes a while.
  BaseHash(Cpu&, const Json& config_json, bool all);
  void add(const WeightSpec& weight, int64_t begin, std::span<const float> values) override;
  void add(const LinearSpec& linear, const QuantizedMatrix& quantized) override;

  // Of the start of each weight.
  std::string sample() { return sample_.hex(); }
  // Of all values and the configuration: the same weights under another rope_theta are another model. Empty if it was not asked for. Once, at
  // the end.
  std::string key();

 private:
  void add_to_key(std::string_view bytes);
  void hash_waiting();

  Cpu& cpu_;
  Sha256 sample_, key_;
  bool all_;
  std::vector<std::string> waiting_;  // chunks; the last may not be full
};

}  // namespace concord
