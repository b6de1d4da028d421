#include "ops/quantized.h"

#include <algorithm>
#include <cmath>

#include "ops/fp8.h"
#include "ops/nf4.h"
#include "ops/ops.h"

namespace concord {

float largest_magnitude(const float* x, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; i++) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

int64_t QuantizedMatrix::bytes() const {
  return static_cast<int64_t>(codes.size() + scale_codes.size() + sizeof(float) * (scales.size() + scale_scales.size()));
}

QuantizedView QuantizedMatrix::view() const {
  return {how, rows, cols, codes.data(), scales.data(), scale_codes.data(), scale_scales.data(), scale_mean};
}

int64_t quantized_bytes(int64_t rows, int64_t cols, Quantization how) {
  if (how == Quantization::fp8) return rows * cols + rows * static_cast<int64_t>(sizeof(float));
  return nf4_bytes(rows * cols, how == Quantization::nf4_double);
}

QuantizedMatrix quantize(Cpu& cpu, Mat<const float> w, Quantization how) {
  return how == Quantization::fp8 ? quantize_fp8(cpu, w) : quantize_nf4(cpu, w, how == Quantization::nf4_double);
}

template <class T>
void ops::dequantize(Cpu& cpu, const QuantizedView& q, Mat<T> out) {
  if (q.how == Quantization::fp8) {
    dequantize_fp8(cpu, q, out);
  } else {
    dequantize_nf4(cpu, q, out);
  }
}

template void ops::dequantize<float>(Cpu&, const QuantizedView&, Mat<float>);
template void ops::dequantize<double>(Cpu&, const QuantizedView&, Mat<double>);

}  // namespace concord
