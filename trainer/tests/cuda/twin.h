// The same numbers twice: as T on the GPU, and in double on the CPU, where an op's exact result is computed from them.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "model/random.h"
#include "ops/ops.h"

namespace twin {

using namespace concord;

inline Cpu& cpu() {
  static Cpu one;
  return one;
}
// A program without a GPU ends as skipped, before its first test.
inline const bool has_gpu = [] {
  if (Cuda::count() > 0) return true;
  std::printf("skipped: no NVIDIA GPU\n");
  std::exit(77);
}();
inline Cuda& cuda() {
  static Cuda one;
  return one;
}
inline Random& draw() {
  static Random one(11, 0);
  return one;
}

// A copy on the GPU of numbers that neither side changes.
template <class V>
Cuda::Buffer<V> placed(const std::vector<V>& values) {
  Cuda::Buffer<V> buffer(static_cast<int64_t>(values.size()));
  cuda().write(std::span(values), buffer.data());
  return buffer;
}

template <class T>
class Twin {
 public:
  // In [-scale, scale], as T has them.
  Twin(int64_t rows, int64_t cols, double scale = 1) : rows_(rows), cols_(cols), exact_(rows * cols), buffer_(rows * cols) {
    std::vector<T> values(exact_.size());
    for (size_t i = 0; i < values.size(); i++) {
      values[i] = static_cast<T>(static_cast<float>(scale * (2 * draw().uniform() - 1)));
      exact_[i] = static_cast<double>(static_cast<float>(values[i]));
    }
    cuda().write(std::span<const T>(values), buffer_.data());
  }

  Mat<double> exact() { return {exact_.data(), rows_, cols_}; }
  Mat<T> gpu() { return {buffer_.data(), rows_, cols_}; }
  double* values() { return exact_.data(); }
  T* pointer() { return buffer_.data(); }

  std::vector<double> fetched() {
    std::vector<T> values(exact_.size());
    cuda().fetch(buffer_.data(), values.data(), static_cast<int64_t>(values.size()));
    std::vector<double> out;
    for (const T v : values) out.push_back(static_cast<double>(static_cast<float>(v)));
    return out;
  }

  // The GPU's numbers are as near to the exact ones as `plain` are times `factor`: an evaluation that rounds its intermediate
  // results to T, or where that is empty the exact result rounded once. float is given a few units for sums in another order.
  void check(const std::string& what, double factor, const std::vector<double>& plain = {}) {
    const std::vector<double> got = fetched();
    double largest = 0, error = 0, allowed = 0;
    for (size_t i = 0; i < got.size(); i++) {
      const double rounded = plain.empty() ? static_cast<double>(static_cast<float>(static_cast<T>(static_cast<float>(exact_[i])))) : plain[i];
      largest = std::max(largest, std::abs(exact_[i]));
      allowed = std::max(allowed, std::abs(rounded - exact_[i]));
      error = std::max(error, std::isfinite(got[i]) ? std::abs(got[i] - exact_[i]) : INFINITY);
    }
    allowed = factor * allowed + 3e-6 * std::max(largest, 1e-3);
    if (!(error <= allowed)) throw std::runtime_error(what + " is off by " + std::to_string(error) + ", allowed " + std::to_string(allowed));
  }

 private:
  int64_t rows_, cols_;
  std::vector<double> exact_;
  Cuda::Buffer<T> buffer_;
};

inline constexpr double kForward = 2, kBackward = 3;

// f.operator()<T>() for both types of the backend.
template <class F>
void for_types(F&& f) {
  f.template operator()<float>();
  f.template operator()<Bf16>();
}

}  // namespace twin
