#include "ops/cpu/few_rows.h"

#include <cstring>

namespace concord {
namespace {

// The tile's sums stay in registers: 16 of AVX-512's 32, 8 of the 16 elsewhere.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kTileX = 4;
#else
constexpr int kLanes = 8, kTileX = 2;
#endif
constexpr int kTileW = 4;

using Lanes [[gnu::vector_size(kLanes * sizeof(float))]] = float;
using Four [[gnu::vector_size(4 * sizeof(float))]] = float;

Lanes load(const float* at) {
  Lanes lanes;
  std::memcpy(&lanes, at, sizeof lanes);
  return lanes;
}

float sum_of(const Lanes& lanes) {
  Four quarters[kLanes / 4];
  std::memcpy(quarters, &lanes, sizeof lanes);
  Four sum = quarters[0];
  for (int i = 1; i < kLanes / 4; i++) sum += quarters[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// X rows of x against W rows of w.
template <int X, int W>
void tile(int64_t k, float alpha, const float* x, int64_t ldx, const float* w, int64_t ldw, float beta, float* y, int64_t ldy) {
  Lanes sums[X][W] = {};
  int64_t at = 0;
  for (; at + kLanes <= k; at += kLanes) {
    Lanes from_w[W];
#pragma GCC unroll 4
    for (int j = 0; j < W; j++) from_w[j] = load(w + j * ldw + at);
#pragma GCC unroll 4
    for (int i = 0; i < X; i++) {
      const Lanes from_x = load(x + i * ldx + at);
#pragma GCC unroll 4
      for (int j = 0; j < W; j++) sums[i][j] += from_x * from_w[j];
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < X; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < W; j++) {
      float sum = sum_of(sums[i][j]);
      for (int64_t rest = at; rest < k; rest++) sum += x[i * ldx + rest] * w[j * ldw + rest];
      float& out = y[i * ldy + j];
      out = alpha * sum + (beta == 0 ? 0 : beta * out);
    }
  }
}

template <int W>
void all_of_x(int64_t m, int64_t k, float alpha, const float* x, int64_t ldx, const float* w, int64_t ldw, float beta, float* y,
              int64_t ldy) {
  int64_t i = 0;
  for (; i + kTileX <= m; i += kTileX) tile<kTileX, W>(k, alpha, x + i * ldx, ldx, w, ldw, beta, y + i * ldy, ldy);
  for (; i < m; i++) tile<1, W>(k, alpha, x + i * ldx, ldx, w, ldw, beta, y + i * ldy, ldy);
}

}  // namespace

void few_rows_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* x, int64_t ldx, const float* w, int64_t ldw,
                 float beta, float* y, int64_t ldy) {
  int64_t j = 0;
  for (; j + kTileW <= n; j += kTileW) all_of_x<kTileW>(m, k, alpha, x, ldx, w + j * ldw, ldw, beta, y + j, ldy);
  for (; j < n; j++) all_of_x<1>(m, k, alpha, x, ldx, w + j * ldw, ldw, beta, y + j, ldy);
}

}  // namespace concord
