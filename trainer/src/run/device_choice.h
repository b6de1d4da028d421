// Which device a command runs on.
// defines: DeviceChoice, parse_device
#pragma once

#include <string>

namespace concord {

struct DeviceChoice {
  bool cuda = false;
  int index = 0;  // of the GPU

  std::string name() const { return cuda ? "cuda:" + std::to_string(index) : "cpu"; }
};

// "cpu", "cuda" (the first), "cuda:N", or "auto", which is the CPU. Failure(2) for anything else, and for a GPU in a build without CUDA;
// `where` is what the message begins with.
DeviceChoice parse_device(const std::string& text, const std::string& where);

}  // namespace concord
