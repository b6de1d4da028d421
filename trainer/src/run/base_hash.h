// What names a base, computed while it is read: the same on every device.
// defines: BaseHash
#pragma once

#include <string>

#include "io/json.h"
#include "model/base.h"
#include "run/sha256.h"

namespace concord {

class BaseHash : public BaseSink {
 public:
  // Without `all` there is no key(): the hash of a large base takes a while.
  BaseHash(const Json& config_json, bool all);
  void add(const WeightSpec& weight, int64_t begin, std::span<const float> values) override;
  void add(const LinearSpec& linear, const QuantizedMatrix& quantized) override;

  // Of the start of each weight.
  std::string sample() { return sample_.hex(); }
  // Of all values and the configuration: the same weights under another rope_theta are another model. Empty if it was not asked for.
  std::string key() { return all_ ? key_.hex() : ""; }

 private:
  Sha256 sample_, key_;
  bool all_;
};

}  // namespace concord
