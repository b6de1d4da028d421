// Moving, scaling and adding whole rows: embedding lookup, biases, gather and scatter around the head, fill and add.
#include <algorithm>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 128;
constexpr int64_t kColsPerPiece = 64;

}  // namespace

template <class T>
void gather_rows(Cpu& cpu, Mat<const T> x, const int32_t* rows, Mat<T> y) {
  cpu.for_ranges(y.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) std::copy_n(x.row(rows[r]), x.cols, y.row(r));
  });
}

// Rows may repeat, so pieces are column ranges: each element has one writer, which adds in row order.
template <class T>
void scatter_add_rows(Cpu& cpu, Mat<const T> y, const int32_t* rows, Mat<T> x) {
  cpu.for_ranges(x.cols, kColsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < y.rows; r++) axpy(T(1), y.row(r) + begin, x.row(rows[r]) + begin, end - begin);
  });
}

template <class T>
void embedding(Cpu& cpu, Mat<const T> table, const int32_t* tokens, Stat<T> scale, Mat<T> x) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T* from = table.row(tokens[t]);
      T* to = x.row(t);
#pragma omp simd
      for (int64_t i = 0; i < x.cols; i++) to[i] = scale * from[i];
    }
  });
}

template <class T>
void embedding_backward(Cpu& cpu, Mat<const T> dx, const int32_t* tokens, Stat<T> scale, Mat<Stat<T>> dtable) {
  cpu.for_ranges(dtable.cols, kColsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < dx.rows; t++) axpy(scale, dx.row(t) + begin, dtable.row(tokens[t]) + begin, end - begin);
  });
}

template <class T>
void fill_rows(Cpu& cpu, const T* row, Mat<T> y) {
  cpu.for_ranges(y.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) std::copy_n(row, y.cols, y.row(t));
  });
}

template <class T>
void add_row_sums(Cpu& cpu, Mat<const T> y, Stat<T>* sum) {
  cpu.for_ranges(y.cols, kColsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < y.rows; t++) axpy(T(1), y.row(t) + begin, sum + begin, end - begin);
  });
}

template <class T>
void scale_rows(Cpu& cpu, const Stat<T>* coef, Mat<T> x) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      T* row = x.row(r);
#pragma omp simd
      for (int64_t i = 0; i < x.cols; i++) row[i] *= coef[r];
    }
  });
}

template <class T>
void fill(Cpu& cpu, Stat<T> value, Mat<T> x) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) std::fill_n(x.row(r), x.cols, value);
  });
}

template <class T>
void copy(Cpu& cpu, Mat<const T> x, Mat<T> y) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) std::copy_n(x.row(r), x.cols, y.row(r));
  });
}

template <class T>
void put_rows(Cpu& cpu, Mat<const T> x, const int32_t* rows, Mat<T> y) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) std::copy_n(x.row(r), x.cols, y.row(rows[r]));
  });
}

template <class T>
void add(Cpu& cpu, Mat<const T> x, Mat<T> y) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) axpy(T(1), x.row(r), y.row(r), x.cols);
  });
}

#define CONCORD_INSTANTIATE(T)                                                   \
  template void gather_rows<T>(Cpu&, Mat<const T>, const int32_t*, Mat<T>);      \
  template void scatter_add_rows<T>(Cpu&, Mat<const T>, const int32_t*, Mat<T>); \
  template void embedding<T>(Cpu&, Mat<const T>, const int32_t*, T, Mat<T>);     \
  template void embedding_backward<T>(Cpu&, Mat<const T>, const int32_t*, T, Mat<T>); \
  template void fill_rows<T>(Cpu&, const T*, Mat<T>);                            \
  template void add_row_sums<T>(Cpu&, Mat<const T>, T*);                         \
  template void scale_rows<T>(Cpu&, const T*, Mat<T>);                           \
  template void fill<T>(Cpu&, T, Mat<T>);                                        \
  template void copy<T>(Cpu&, Mat<const T>, Mat<T>);                             \
  template void put_rows<T>(Cpu&, Mat<const T>, const int32_t*, Mat<T>);         \
  template void add<T>(Cpu&, Mat<const T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
