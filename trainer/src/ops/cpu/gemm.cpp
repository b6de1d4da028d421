// Matrix products: OpenBLAS on one thread per piece of rows of the result. Own pieces rather than OpenBLAS' threads:
// on two cores and at the sizes of small models its hand-over costs more than the product, and
// pieces cut by shape alone keep the bytes independent of the number of threads.
#include <algorithm>
#include <type_traits>

#include "ops/cpu/few_rows.h"
#include "ops/cpu/serial_gemm.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

// Rows of the result per piece: about eight pieces, a multiple of 32 (the kernel's tile), neither tiny nor so large
// that two cores end far apart.
int64_t piece_rows(int64_t rows) {
  const int64_t eighth = (rows / 8 + 31) / 32 * 32;
  return std::clamp<int64_t>(eighth, 64, 512);
}

// Rows of W per piece where X has few: a piece stays in the second-level cache, and is a multiple of the kernel's tile.
int64_t piece_of_w(int64_t cols) { return std::clamp<int64_t>((1 << 16) / std::max<int64_t>(cols, 1) / 24 * 24, 24, 4096); }

}  // namespace

template <class T>
void matmul_nt(Cpu& cpu, T alpha, Mat<const T> x, Mat<const T> w, T beta, Mat<T> y) {
  if constexpr (std::is_same_v<T, float>) {
    if (x.rows <= kFewRows) {
      static thread_local TurnedRows turned;
      turn_rows(x.rows, x.cols, x.data, x.stride, turned);
      cpu.for_ranges(w.rows, piece_of_w(w.cols), [&, rows = &turned](int64_t begin, int64_t end) {
        few_rows_nt(*rows, end - begin, alpha, w.row(begin), w.stride, beta, y.data + begin, y.stride);
      });
      return;
    }
  }
  cpu.for_ranges(x.rows, piece_rows(x.rows), [&](int64_t begin, int64_t end) {
    serial_gemm(false, true, end - begin, w.rows, x.cols, alpha, x.row(begin), x.stride, w.data, w.stride, beta,
                y.row(begin), y.stride);
  });
}

template <class T>
void matmul_nn(Cpu& cpu, T alpha, Mat<const T> y, Mat<const T> w, T beta, Mat<T> x) {
  cpu.for_ranges(y.rows, piece_rows(y.rows), [&](int64_t begin, int64_t end) {
    serial_gemm(false, false, end - begin, w.cols, y.cols, alpha, y.row(begin), y.stride, w.data, w.stride, beta,
                x.row(begin), x.stride);
  });
}

template <class T>
void matmul_tn(Cpu& cpu, T alpha, Mat<const T> y, Mat<const T> x, T beta, Mat<T> w) {
  cpu.for_ranges(w.rows, piece_rows(w.rows), [&](int64_t begin, int64_t end) {
    serial_gemm(true, false, end - begin, x.cols, y.rows, alpha, y.data + begin, y.stride, x.data, x.stride, beta,
                w.row(begin), w.stride);
  });
}

#define CONCORD_INSTANTIATE(T)                                                          \
  template void matmul_nt<T>(Cpu&, T, Mat<const T>, Mat<const T>, T, Mat<T>);           \
  template void matmul_nn<T>(Cpu&, T, Mat<const T>, Mat<const T>, T, Mat<T>);           \
  template void matmul_tn<T>(Cpu&, T, Mat<const T>, Mat<const T>, T, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
