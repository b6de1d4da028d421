// All buffers of a run come from one allocation. The code that lays them out runs twice: first with nothing allocated,
// to count bytes by part (that is the memory plan), then to hand out pointers.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ops/ops.h"

namespace concord {

class Arena {
 public:
  using Parts = std::vector<std::pair<std::string, int64_t>>;  // bytes by part, in order of first use

  template <class T>
  T* take(const char* part, int64_t elements) {
    const int64_t bytes = (elements * static_cast<int64_t>(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
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
  void allocate() {
    const int64_t bytes = used_ > 0 ? used_ : kAlign;
    base_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlign, bytes)));
    if (!base_) throw std::bad_alloc();
    used_ = 0;
  }
  int64_t bytes() const { return used_; }
  const Parts& parts() const { return parts_; }

 private:
  static constexpr int64_t kAlign = 64;  // one cache line, one AVX-512 register
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };

  void count(const char* part, int64_t bytes) {
    for (auto& [name, total] : parts_) {
      if (name == part) {
        total += bytes;
        return;
      }
    }
    parts_.emplace_back(part, bytes);
  }

  std::unique_ptr<std::byte, Free> base_;
  int64_t used_ = 0;
  Parts parts_;
};

}  // namespace concord
