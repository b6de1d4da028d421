// Matrix products: OpenBLAS on one thread per piece of the result. Own pieces rather than OpenBLAS' threads:
// on two cores and at the sizes of small models its hand-over costs more than the product, and
// pieces cut by shape alone keep the bytes independent of the number of threads.
#include <algorithm>
#include <type_traits>

#include "ops/cpu/few_rows.h"
#include "ops/cpu/serial_gemm.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

// A result of m x n is cut into pieces, each of which packs its own rows of both factors: the longer side in half, so that pieces
// stay nearly square and little is packed twice, until there are a few and none is large.
constexpr int64_t kPieces = 4, kElementsMax = 1 << 18, kSideMin = 64;
// Products up to here are cut into rows alone: OpenBLAS adds in another order where a product is very small, and with pieces on
// both sides of its bound a row's bytes would depend on its place in the batch.
constexpr int64_t kSmallProduct = 1 << 26;

struct Pieces {
  int64_t rows, cols;
};

Pieces pieces_of(int64_t m, int64_t n, int64_t k) {
  if (m * n * k <= kSmallProduct) return {std::clamp<int64_t>((m / 8 + 31) / 32 * 32, 64, 512), n};
  Pieces piece{m, n};
  const auto half = [](int64_t side) { return (side / 2 + 31) / 32 * 32; };  // a multiple of the kernel's tile
  for (int64_t count = 1; std::max(piece.rows, piece.cols) >= 2 * kSideMin; count *= 2) {
    if (count >= kPieces && piece.rows * piece.cols <= kElementsMax) break;
    int64_t& longer = piece.rows >= piece.cols ? piece.rows : piece.cols;
    longer = half(longer);
  }
  return piece;
}

// f(row, rows, col, cols) for every piece.
template <class F>
void for_pieces(Cpu& cpu, int64_t m, int64_t n, int64_t k, F&& f) {
  if (m == 0 || n == 0) return;
  const Pieces piece = pieces_of(m, n, k);
  const int64_t across = (n + piece.cols - 1) / piece.cols, down = (m + piece.rows - 1) / piece.rows;
  cpu.for_each(down * across, [&](int64_t task, int) {
    const int64_t row = task / across * piece.rows, col = task % across * piece.cols;
    f(row, std::min(piece.rows, m - row), col, std::min(piece.cols, n - col));
  });
}

// Rows of W per piece where X has few: a piece stays in the second-level cache, and is a multiple of the kernel's tile.
int64_t piece_of_w(int64_t cols) { return std::clamp<int64_t>((1 << 16) / std::max<int64_t>(cols, 1) / 24 * 24, 24, 4096); }

}  // namespace

template <class T, class Y>
void matmul_nt(Cpu& cpu, Stat<T> alpha, Mat<const T> x, Mat<const T> w, Stat<T> beta, Mat<Y> y) {
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
  for_pieces(cpu, x.rows, w.rows, x.cols, [&](int64_t row, int64_t rows, int64_t col, int64_t cols) {
    serial_gemm(false, true, rows, cols, x.cols, alpha, x.row(row), x.stride, w.row(col), w.stride, beta, y.row(row) + col, y.stride);
  });
}

template <class T>
void matmul_nn(Cpu& cpu, Stat<T> alpha, Mat<const T> y, Mat<const T> w, Stat<T> beta, Mat<T> x) {
  for_pieces(cpu, y.rows, w.cols, y.cols, [&](int64_t row, int64_t rows, int64_t col, int64_t cols) {
    serial_gemm(false, false, rows, cols, y.cols, alpha, y.row(row), y.stride, w.data + col, w.stride, beta, x.row(row) + col, x.stride);
  });
}

template <class T>
void matmul_tn(Cpu& cpu, Stat<T> alpha, Mat<const T> y, Mat<const T> x, Stat<T> beta, Mat<Stat<T>> w) {
  for_pieces(cpu, w.rows, w.cols, y.rows, [&](int64_t row, int64_t rows, int64_t col, int64_t cols) {
    serial_gemm(true, false, rows, cols, y.rows, alpha, y.data + row, y.stride, x.data + col, x.stride, beta, w.row(row) + col, w.stride);
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
