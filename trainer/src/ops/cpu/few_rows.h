// Y = alpha X W^T + beta Y for few rows of X, where reading W is what takes the time: W streams through once, without the
// packed copy that a large product pays for. Every entry of Y is one dot product, summed in an order that depends on its
// length alone, so a row's result is the same bytes whatever rows stand beside it.
#pragma once

#include <cstdint>

namespace concord {

// m rows of x, n rows of w, both of k elements; on the calling thread.
void few_rows_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* x, int64_t ldx, const float* w, int64_t ldw,
                 float beta, float* y, int64_t ldy);

}  // namespace concord
