// All buffers of a run come from one allocation. The code that lays them out runs twice: first with nothing allocated,
// to count bytes by part (that is the memory plan), then to hand out pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ops/ops.h"

namespace concord {

using MemoryParts = std::vector<std::pair<std::string, int64_t>>;  // bytes by part, in order of first use

template <class Device>
class Arena {
 public:

  template <class T>
  T* take(const char* part, int64_t elements) {
    const int64_t bytes = (elements * static_cast<int64_t>(sizeof(T)) + Device::kAlign - 1) / Device::kAlign * Device::kAlign;
    if (!base_) count(part, bytes);
    T* pointer = base_ ? reinterpret_cast<T*>(base_.get() + used_) : nullptr;
    used_ += bytes;
    return pointer;
  }
  template <class T>
  Mat<T> take(const char* part, int64_t rows, int64_t cols) {
    return Mat<T>(take<T>(part, rows * cols), rows, cols);
  }

  // After the counting pass. Throws std::bad_alloc.
  void allocate(Device& device) {
    base_ = device.allocate(used_);
    used_ = 0;
  }
  int64_t bytes() const { return used_; }
  const MemoryParts& parts() const { return parts_; }

 private:
  void count(const char* part, int64_t bytes) {
    for (auto& [name, total] : parts_) {
      if (name == part) {
        total += bytes;
        return;
      }
    }
    parts_.emplace_back(part, bytes);
  }

  typename Device::Memory base_;
  int64_t used_ = 0;
  MemoryParts parts_;
};

}  // namespace concord
