// NF4, the 4-bit numbers of QLoRA (Dettmers et al. 2023): blocks of 64 weights share their largest absolute value, and each weight
// is the nearest of 16 quantiles of a normal distribution. Codes, rounding and packing are those of bitsandbytes.
#pragma once

#include <array>

#include "ops/quantized.h"

namespace concord {

inline constexpr int64_t kNf4Block = 64;        // weights, row after row
inline constexpr int64_t kNf4ScaleBlock = 256;  // blocks, with double quantization

// bitsandbytes/functional.py, get_4bit_type("nf4")
inline constexpr std::array<float, 16> kNf4Codes = {
    -1.0f,        -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

// Halfway between neighbours as bitsandbytes' comparisons have them (csrc/kernels.cu, dQuantizeNF4), which computing them in float would
// miss by one place: a number above becomes the upper code.
inline constexpr std::array<float, 15> kNf4Bounds = {
    -0.8480964004993439f,  -0.6106329262256622f,   -0.4599952697753906f, -0.33967943489551544f, -0.23460740596055984f,
    -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f, 0.1202552504837513f,   0.2035212516784668f,
    0.2920137718319893f,   0.3893125355243683f,    0.5016634166240692f,  0.6427869200706482f,   0.8614784181118011f};

// The 256 numbers of bitsandbytes' signed dynamic map (create_dynamic_map), ascending: what block scales become.
const std::array<float, 256>& dynamic_map();

// Bytes of a matrix of so many elements.
int64_t nf4_bytes(int64_t elements, bool double_quant);

QuantizedMatrix quantize_nf4(Cpu&, Mat<const float> w, bool double_quant);
template <class T>
void dequantize_nf4(Cpu&, const QuantizedView&, Mat<T> out);

}  // namespace concord
