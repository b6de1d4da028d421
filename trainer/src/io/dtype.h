// Element types of safetensors and conversion to and from float.
// defines: DType, dtype_bytes, dtype_name, dtype_from_name, half_to_float, bf16_to_float, float_to_half, float_to_bf16
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace concord {

enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL };

size_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

// Without branches, as they are called for every element of a checkpoint.
inline float half_to_float(uint16_t bits) {
  const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
  const uint32_t normal = (exponent + 112) << 23 | fraction << 13, special = fraction ? 0x7FC00000u : 0x7F800000u;
  const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
  const uint32_t magnitude = exponent == 31 ? special : exponent == 0 ? std::bit_cast<uint32_t>(subnormal) : normal;
  return std::bit_cast<float>(magnitude | static_cast<uint32_t>(bits & 0x8000) << 16);
}
inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
uint16_t float_to_half(float value);  // round to nearest even; overflow becomes infinity
uint16_t float_to_bf16(float value);  // round to nearest even; NaN stays NaN

}  // namespace concord
