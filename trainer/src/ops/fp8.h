// FP8 weights: E4M3 numbers, of 4 bits of exponent and 3 of mantissa (Micikevicius et al. 2022, "FP8 formats for deep learning"; OCP 8-bit
// Floating Point Specification, 2023), times a float for each row:
//
//   scale_i = max_j |w_ij| / 448,   code_ij = E4M3(w_ij / scale_i), to the nearest, ties to even
//
// The numbers are torch's float8_e4m3fn, the scales those of torchao's Float8WeightOnlyConfig.
#pragma once

#include <bit>
#include <limits>

#include "ops/host_device.h"
#include "ops/quantized.h"

namespace concord {

inline constexpr float kE4m3Max = 448;

// A code is sign, exponent (bias 7) and mantissa; exponent 0 is in units of 2^-9. There are no infinities: all ones are NaN.
CONCORD_HOST_DEVICE inline float e4m3_to_float(uint8_t code) {
  if ((code & 0x7fu) == 0x7fu) return std::numeric_limits<float>::quiet_NaN();
  // Exponent and mantissa where a float has its own, whose bias is 127, mean 2^-120 of the value, subnormal numbers included.
  return std::bit_cast<float>((code & 0x80u) << 24 | (code & 0x7fu) << 20) * 0x1p120f;
}

// What is larger than 448 becomes 448; NaN stays NaN.
uint8_t float_to_e4m3(float x);

QuantizedMatrix quantize_fp8(Cpu&, Mat<const float> w);
template <class T>
void dequantize_fp8(Cpu&, const QuantizedView&, Mat<T> out);

}  // namespace concord
