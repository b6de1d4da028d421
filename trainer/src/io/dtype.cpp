#include "io/dtype.h"

#include <bit>
#include <cmath>

namespace concord {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  size_t bytes;
};
constexpr Row rows[] = {
    {DType::F64, "F64", 8}, {DType::F32, "F32", 4}, {DType::F16, "F16", 2}, {DType::BF16, "BF16", 2},
    {DType::I64, "I64", 8}, {DType::I32, "I32", 4}, {DType::I16, "I16", 2}, {DType::I8, "I8", 1},
    {DType::U64, "U64", 8}, {DType::U32, "U32", 4}, {DType::U16, "U16", 2}, {DType::U8, "U8", 1},
    {DType::BOOL, "BOOL", 1},
};

const Row& row_of(DType dtype) { return rows[static_cast<size_t>(dtype)]; }

}  // namespace

size_t dtype_bytes(DType dtype) { return row_of(dtype).bytes; }
std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7E00;
  if (magnitude >= 65520.f) return sign | 0x7C00;  // halfway between the largest half, 65504, and the next step
  if (magnitude < std::ldexp(1.f, -14))             // subnormal: in units of 2^-24; the product is exact, lrint rounds to even
    return sign | static_cast<uint16_t>(std::lrint(std::ldexp(magnitude, 24)));
  const uint32_t rebiased = (bits & 0x7FFFFFFF) - (112u << 23);
  return sign | static_cast<uint16_t>((rebiased + 0xFFF + (rebiased >> 13 & 1)) >> 13);
}

uint16_t float_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace concord
