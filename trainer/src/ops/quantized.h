// Weights of a frozen base in few bits: codes, and scales that they are multiplied by.
// defines: Quantization, QuantizedView, QuantizedMatrix, quantize, quantized_bytes
#pragma once

#include <cstdint>
#include <vector>

#include "ops/types.h"

namespace concord {

class Cpu;

// Formulas: ops/nf4.h, ops/fp8.h.
enum class Quantization { none, nf4, nf4_double, fp8 };

// A quantized weight where its device reads it; fields as in QuantizedMatrix, null where empty.
struct QuantizedView {
  Quantization how = Quantization::none;
  int64_t rows = 0, cols = 0;
  const uint8_t* codes = nullptr;
  const float* scales = nullptr;
  const uint8_t* scale_codes = nullptr;
  const float* scale_scales = nullptr;
  float scale_mean = 0;
};

// One linear layer's weight.
struct QuantizedMatrix {
  Quantization how = Quantization::none;
  int64_t rows = 0, cols = 0;
  std::vector<uint8_t> codes = {};        // NF4: two a byte, the first in the high half; FP8: one
  std::vector<float> scales = {};         // of each block (NF4) or row (FP8); with nf4_double empty, and a scale is
  std::vector<uint8_t> scale_codes = {};  // dynamic_map()[scale_codes] * scale_scales[block / 256] + scale_mean
  std::vector<float> scale_scales = {};
  float scale_mean = 0;

  int64_t bytes() const;
  QuantizedView view() const;
};

QuantizedMatrix quantize(Cpu&, Mat<const float> w, Quantization how);  // not none

// Bytes of a matrix of so many rows and columns.
int64_t quantized_bytes(int64_t rows, int64_t cols, Quantization how);

float largest_magnitude(const float* x, int64_t n);

}  // namespace concord
