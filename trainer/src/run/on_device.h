// defines: on_device
#pragma once

#include <utility>

#include "ops/ops.h"
#include "run/device.h"
#include "run/device_choice.h"

namespace concord {

// f(device, T()) with the device of that choice and what it stores numbers in. Failure(2) where there is no such device.
template <class F>
auto on_device(const DeviceChoice& choice, F&& f) {
  [[maybe_unused]] const DeviceChoice resolved = resolve_device(choice);
#ifdef CONCORD_CUDA
  if (resolved.cuda) {
    Cuda cuda(resolved.index);
    return f(cuda, Bf16());
  }
#endif
  Cpu cpu(thread_count());
  return f(cpu, float());
}

}  // namespace concord
