// bfloat16: the upper half of a float. What weights and activations are stored in on a GPU; every sum is a float's.
#pragma once

#include <bit>
#include <cstdint>

#include "ops/host_device.h"

namespace concord {

struct Bf16 {
  uint16_t bits;

  Bf16() = default;
  // To the nearest, ties to even; NaN stays NaN, quiet.
  CONCORD_HOST_DEVICE explicit Bf16(float x) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    const uint32_t u = std::bit_cast<uint32_t>(x);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
#endif
  }
  CONCORD_HOST_DEVICE explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

}  // namespace concord
