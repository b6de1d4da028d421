#include "ops/fp8.h"

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace concord {
namespace {

int64_t rows_per_piece(int64_t cols) { return std::max<int64_t>(1, 65'536 / cols); }

}  // namespace

uint8_t float_to_e4m3(float x) {
  const auto sign = static_cast<uint8_t>(std::bit_cast<uint32_t>(x) >> 24 & 0x80);
  if (std::isnan(x)) return sign | 0x7f;
  const float magnitude = std::min(std::abs(x), kE4m3Max);
  if (magnitude < 0x1p-6f)  // subnormal: the product is exact, lrint rounds to even
    return sign | static_cast<uint8_t>(std::lrint(magnitude * 0x1p9f));
  const uint32_t rebiased = std::bit_cast<uint32_t>(magnitude) - (120u << 23);
  return sign | static_cast<uint8_t>((rebiased + 0x7ffff + (rebiased >> 20 & 1)) >> 20);
}

QuantizedMatrix quantize_fp8(Cpu& cpu, Mat<const float> w) {
  QuantizedMatrix q{Quantization::fp8, w.rows, w.cols};
  q.codes.resize(w.rows * w.cols);
  q.scales.resize(w.rows);
  cpu.for_ranges(w.rows, rows_per_piece(w.cols), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const float scale = q.scales[i] = largest_magnitude(w.row(i), w.cols) / kE4m3Max;
      for (int64_t j = 0; j < w.cols; j++) {
        const float x = w.row(i)[j];
        q.codes[i * w.cols + j] = float_to_e4m3(scale > 0 ? x / scale : x);  // a row of zeros has no scale
      }
    }
  });
  return q;
}

template <class T>
void dequantize_fp8(Cpu& cpu, const QuantizedView& q, Mat<T> out) {
  cpu.for_ranges(q.rows, rows_per_piece(q.cols), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      for (int64_t j = 0; j < q.cols; j++) out.row(i)[j] = e4m3_to_float(q.codes[i * q.cols + j]) * q.scales[i];
  });
}

template void dequantize_fp8<float>(Cpu&, const QuantizedView&, Mat<float>);
template void dequantize_fp8<double>(Cpu&, const QuantizedView&, Mat<double>);

}  // namespace concord
