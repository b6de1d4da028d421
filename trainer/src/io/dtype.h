// Element types of safetensors and conversion to and from float.
// defines: DType, dtype_bytes, dtype_name, dtype_from_name, half_to_float, bf16_to_float, float_to_half, float_to_bf16
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace concord {

enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL };

size_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

float half_to_float(uint16_t bits);
float bf16_to_float(uint16_t bits);
uint16_t float_to_half(float value);  // round to nearest even; overflow becomes infinity
uint16_t float_to_bf16(float value);  // round to nearest even; NaN stays NaN

}  // namespace concord
