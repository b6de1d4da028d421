// Y = alpha X W^T + beta Y for few rows of X, where reading W is what takes the time. The rows of X lie across the lanes of
// a register and W streams through once, element by element, without the packed copy that a library's product makes of it.
// Every entry of Y is summed in the order of k, so a row's result is the same bytes whatever rows stand beside it.
#pragma once

#include <cstdint>
#include <vector>

namespace concord {

// X turned so that the rows of a block lie side by side: [blocks][k][rows of the block, and zeros up to a register].
struct TurnedRows {
  int64_t rows = 0, k = 0;
  std::vector<float> values;
};
void turn_rows(int64_t m, int64_t k, const float* x, int64_t ldx, TurnedRows& turned);

// n rows of w; on the calling thread.
void few_rows_nt(const TurnedRows& x, int64_t n, float alpha, const float* w, int64_t ldw, float beta, float* y, int64_t ldy);

}  // namespace concord
