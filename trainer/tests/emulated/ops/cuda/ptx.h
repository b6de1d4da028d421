// Stands in for src/ops/cuda/ptx.h: the same layouts of fragments, element by element.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>

#include "ops/bf16.h"

namespace concord::ptx {

namespace emulation {

inline uint32_t two(Bf16 low, Bf16 high) { return low.bits | static_cast<uint32_t>(high.bits) << 16; }

inline void check_aligned(const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0) throw std::logic_error("an address is not a multiple of 16 bytes");
}

// f(matrix's rows) for each of the four that the warp gives addresses of.
template <class F>
void for_matrices(const Bf16* row, F&& f) {
  check_aligned(row);
  const uint64_t* rows = emulated::exchange_in_warp(reinterpret_cast<uint64_t>(row));
  for (int m = 0; m < 4; m++) f(m, [rows, m](unsigned r) { return reinterpret_cast<const Bf16*>(rows[8 * m + r]); });
}

inline float element(uint32_t word, unsigned i) {
  Bf16 x;
  x.bits = static_cast<uint16_t>(word >> 16 * i);
  return static_cast<float>(x);
}

}  // namespace emulation

inline void ldmatrix(uint32_t (&r)[4], const Bf16* row) {
  const unsigned lane = emulated::thread_in_block() % 32;
  emulation::for_matrices(row, [&](int m, auto rows) {
    const Bf16* from = rows(lane / 4) + 2 * (lane % 4);
    r[m] = emulation::two(from[0], from[1]);
  });
}
inline void ldmatrix_transposed(uint32_t (&r)[4], const Bf16* row) {
  const unsigned lane = emulated::thread_in_block() % 32;
  emulation::for_matrices(row, [&](int m, auto rows) { r[m] = emulation::two(rows(2 * (lane % 4))[lane / 4], rows(2 * (lane % 4) + 1)[lane / 4]); });
}

inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  uint32_t words[6][32];
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  for (int pair = 0; pair < 3; pair++) {
    const uint64_t* got = emulated::exchange_in_warp(mine[2 * pair] | static_cast<uint64_t>(mine[2 * pair + 1]) << 32);
    for (int lane = 0; lane < 32; lane++) {
      words[2 * pair][lane] = static_cast<uint32_t>(got[lane]);
      words[2 * pair + 1][lane] = static_cast<uint32_t>(got[lane] >> 32);
    }
  }
  const unsigned lane = emulated::thread_in_block() % 32;
  for (unsigned e = 0; e < 4; e++) {
    const unsigned row = lane / 4 + 8 * (e / 2), col = 2 * (lane % 4) + e % 2;
    float sum = 0;
    for (unsigned k = 0; k < 16; k++) {
      const float x = emulation::element(words[row / 8 + 2 * (k / 8)][row % 8 * 4 + k % 8 / 2], k % 2);
      const float y = emulation::element(words[4 + k / 8][col * 4 + k % 8 / 2], k % 2);
      sum += x * y;
    }
    c[e] += sum;
  }
}

inline void copy_async(Bf16* shared, const Bf16* global, bool valid) {
  emulation::check_aligned(shared);
  emulation::check_aligned(global);
  emulated::copy_later(shared, valid ? global : nullptr);
}
inline void commit_copies() { emulated::commit_copies(); }
template <int N>
void wait_for_copies() {
  emulated::wait_for_copies(N);
}

inline uint32_t pack(float low, float high) { return emulation::two(Bf16(low), Bf16(high)); }
inline float exp2(float x) { return std::exp2(x); }

}  // namespace concord::ptx
