// Stands in for src/ops/cuda/gemm.cpp: products as they are defined, with float sums.
#include "ops/cuda/state.h"
#include "ops/ops.h"

namespace concord {

std::unique_ptr<Blas, EndBlas> start_blas() { return nullptr; }
void EndBlas::operator()(Blas*) const {}

}  // namespace concord

namespace concord::ops {
namespace {

// y[i,j] = alpha sum over l of x(i,l) w(l,j) + beta y[i,j]
template <class Y, class A, class B>
void product(int64_t sum_length, float alpha, A x, B w, float beta, Mat<Y> y) {
  emulated::submit([=] {
    for (int64_t i = 0; i < y.rows; i++)
      for (int64_t j = 0; j < y.cols; j++) {
        float sum = 0;
        for (int64_t l = 0; l < sum_length; l++) sum += static_cast<float>(x(i, l)) * static_cast<float>(w(l, j));
        Y& to = y.row(i)[j];
        to = static_cast<Y>(alpha * sum + (beta == 0 ? 0 : beta * static_cast<float>(to)));
      }
  });
}

}  // namespace

template <class T, class Y>
void matmul_nt(Cuda&, Stat<T> alpha, Mat<const T> x, Mat<const T> w, Stat<T> beta, Mat<Y> y) {
  product(x.cols, alpha, [=](int64_t i, int64_t l) { return x.row(i)[l]; }, [=](int64_t l, int64_t j) { return w.row(j)[l]; }, beta, y);
}
template <class T>
void matmul_nn(Cuda&, Stat<T> alpha, Mat<const T> y, Mat<const T> w, Stat<T> beta, Mat<T> x) {
  product(y.cols, alpha, [=](int64_t i, int64_t l) { return y.row(i)[l]; }, [=](int64_t l, int64_t j) { return w.row(l)[j]; }, beta, x);
}
template <class T>
void matmul_tn(Cuda&, Stat<T> alpha, Mat<const T> y, Mat<const T> x, Stat<T> beta, Mat<Stat<T>> w) {
  product(y.rows, alpha, [=](int64_t i, int64_t l) { return y.row(l)[i]; }, [=](int64_t l, int64_t j) { return x.row(l)[j]; }, beta, w);
}

#define CONCORD_INSTANTIATE(T)                                                                   \
  template void matmul_nt<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<T>);           \
  template void matmul_nn<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<T>);           \
  template void matmul_tn<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<float>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE
template void matmul_nt<Bf16, float>(Cuda&, float, Mat<const Bf16>, Mat<const Bf16>, float, Mat<float>);

}  // namespace concord::ops
