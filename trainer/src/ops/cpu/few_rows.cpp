#include "ops/cpu/few_rows.h"

#include <algorithm>
#include <cstring>

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace concord {
namespace {

// Two registers of the widest kind times eight rows of W: the sums stay in registers, 16 of AVX-512's 32. Elsewhere there
// are 16 registers, and 12 sums.
#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
constexpr int kColumns = 8;
#else
constexpr int64_t kLanes = 8;
constexpr int kColumns = 6;
#endif
constexpr int64_t kBlock = 2 * kLanes;

using Four [[gnu::vector_size(16)]] = float;
using Eight [[gnu::vector_size(32)]] = float;
using Sixteen [[gnu::vector_size(64)]] = float;

// sum += x w, rounded once in every width where it is rounded once in any: left to itself the compiler decides by width.
template <class Register>
[[gnu::always_inline]] inline void multiply_add(Register& sum, const Register& x, float w) {
#if defined(__FMA__)
  if constexpr (sizeof(Register) == 16) sum = _mm_fmadd_ps(x, _mm_set1_ps(w), sum);
  else if constexpr (sizeof(Register) == 32) sum = _mm256_fmadd_ps(x, _mm256_set1_ps(w), sum);
#if defined(__AVX512F__)
  else sum = _mm512_fmadd_ps(x, _mm512_set1_ps(w), sum);
#endif
#else
  sum += x * w;
#endif
}

// Rows of a block with its padding: one narrow register where that is enough.
int64_t width_of(int64_t rows) { return rows <= 4 ? 4 : rows <= 8 ? 8 : rows <= kLanes ? kLanes : kBlock; }

// sums[c] = the block's rows times row c of w. `x` is [k][registers].
template <class Register, int Registers, int Columns>
void tile(int64_t k, const float* x, const float* w, int64_t ldw, float* sums) {
  constexpr int64_t lanes = sizeof(Register) / sizeof(float);
  Register sum[Columns][Registers] = {};
  for (int64_t i = 0; i < k; i++) {
    Register rows[Registers];
    std::memcpy(rows, x + i * Registers * lanes, sizeof rows);
#pragma GCC unroll 8
    for (int c = 0; c < Columns; c++) {
      const float from_w = w[c * ldw + i];
#pragma GCC unroll 2
      for (int r = 0; r < Registers; r++) multiply_add(sum[c][r], rows[r], from_w);
    }
  }
  std::memcpy(sums, sum, sizeof sum);
}

// Columns of Y from `column` on, `Columns` at a time as long as there are so many; returns where it stopped.
template <class Register, int Registers, int Columns>
int64_t columns_of(int64_t column, int64_t m, int64_t n, int64_t k, float alpha, const float* x, const float* w, int64_t ldw,
                   float beta, float* y, int64_t ldy) {
  constexpr int64_t width = Registers * sizeof(Register) / sizeof(float);
  alignas(64) float sums[Columns * width];
  for (; column + Columns <= n; column += Columns) {
    tile<Register, Registers, Columns>(k, x, w + column * ldw, ldw, sums);
    for (int64_t i = 0; i < m; i++) {
      for (int c = 0; c < Columns; c++) {
        float& out = y[i * ldy + column + c];
        out = alpha * sums[c * width + i] + (beta == 0 ? 0 : beta * out);
      }
    }
  }
  return column;
}

template <class Register, int Registers>
void block_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* x, const float* w, int64_t ldw, float beta, float* y,
              int64_t ldy) {
  const int64_t rest = columns_of<Register, Registers, kColumns>(0, m, n, k, alpha, x, w, ldw, beta, y, ldy);
  columns_of<Register, Registers, 1>(rest, m, n, k, alpha, x, w, ldw, beta, y, ldy);
}

}  // namespace

void turn_rows(int64_t m, int64_t k, const float* x, int64_t ldx, TurnedRows& turned) {
  turned.rows = m;
  turned.k = k;
  turned.values.resize((m / kBlock * kBlock + width_of(std::max<int64_t>(m % kBlock, 1))) * k);
  float* to = turned.values.data();
  for (int64_t first = 0; first < m; first += kBlock) {
    const int64_t rows = std::min(kBlock, m - first), width = width_of(rows);
    for (int64_t row = 0; row < width; row++) {
      const float* from = x + (first + row) * ldx;
      for (int64_t i = 0; i < k; i++) to[i * width + row] = row < rows ? from[i] : 0;
    }
    to += width * k;
  }
}

void few_rows_nt(const TurnedRows& x, int64_t n, float alpha, const float* w, int64_t ldw, float beta, float* y, int64_t ldy) {
  const float* from = x.values.data();
  for (int64_t first = 0; first < x.rows; first += kBlock, y += kBlock * ldy) {
    const int64_t rows = std::min(kBlock, x.rows - first), width = width_of(rows);
    const auto product = [&](auto block) { block(rows, n, x.k, alpha, from, w, ldw, beta, y, ldy); };
    if (width == 4) product(block_nt<Four, 1>);
    else if (width == 8) product(block_nt<Eight, 1>);
    else if constexpr (kLanes == 8) product(block_nt<Eight, 2>);
    else if (width == kLanes) product(block_nt<Sixteen, 1>);
    else product(block_nt<Sixteen, 2>);
    from += width * x.k;
  }
}

}  // namespace concord
