// Which device a command runs on.
// defines: DeviceChoice, cpu_device, parse_device, resolve_device
#pragma once

#include <string>

namespace concord {

struct DeviceChoice {
  bool automatic = true;  // not chosen yet
  bool cuda = false;
  bool numbered = false;  // the index was asked for
  int index = 0;          // of the GPU

  std::string name() const { return automatic ? "auto" : cuda ? "cuda:" + std::to_string(index) : "cpu"; }
};

inline DeviceChoice cpu_device() { return {.automatic = false}; }

// "auto", "cpu", "cuda" or "cuda:N". Failure(2) for anything else, and for a GPU in a build without CUDA; `where` is what the message
// begins with.
DeviceChoice parse_device(const std::string& text, const std::string& where);

// What is there: "auto" is the GPU with the most free memory, or the CPU where there is none, and "cuda" the first GPU. Several ranks of
// one host have a GPU each, by their number; Failure(2) where there are not as many, or one was asked for by its index.
DeviceChoice resolve_device(DeviceChoice choice, int local_rank = 0, int local_size = 1);

}  // namespace concord
