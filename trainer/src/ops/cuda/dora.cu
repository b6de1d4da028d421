// What DoRA adds: norms of adapted rows, and gains of columns.
#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

constexpr int kRowsPerBlock = 8;  // a warp each

template <class T>
__device__ float warp_dot(const T* x, const T* y, int64_t n) {
  float sum = 0;
  for (int64_t i = lane_of(); i < n; i += kWarp) sum += static_cast<float>(x[i]) * static_cast<float>(y[i]);
  return warp_sum(sum);
}

template <class T>
__global__ void row_norms_kernel(Mat<const T> w, Mat<const T> wa, Mat<const T> aa, Mat<const T> b, float s, float* norms) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarp;
  if (i >= w.rows) return;
  float square = warp_dot(w.row(i), w.row(i), w.cols) + 2 * s * warp_dot(b.row(i), wa.row(i), aa.rows);
  for (int64_t k = 0; k < aa.rows; k++) square += s * s * static_cast<float>(b.row(i)[k]) * warp_dot(b.row(i), aa.row(k), aa.rows);
  if (lane_of() == 0) norms[i] = sqrtf(fmaxf(square, 0));
}

struct Quotient {
  const float *magnitude, *norms;
  float* gains;
  template <int N>
  __device__ void apply(int64_t, int64_t i) const {
    gains[i] = norms[i] > 0 ? magnitude[i] / norms[i] : 0;
  }
};

template <class T>
struct ApplyGains {
  const float* gain;
  const T* bias;
  Mat<T> y, raw;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> v = load<N>(y.row(t) + i), b{};
    if (bias) b = load<N>(bias + i);
    for (int k = 0; k < N; k++) v.v[k] -= b.v[k];
    if (raw) store<N>(raw.row(t) + i, v);
    for (int k = 0; k < N; k++) v.v[k] = v.v[k] * gain[i + k] + b.v[k];
    store<N>(y.row(t) + i, v);
  }
};

template <class T>
struct ScaleColumns {
  const float* gain;
  Mat<T> x;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> v = load<N>(x.row(t) + i);
    for (int k = 0; k < N; k++) v.v[k] *= gain[i + k];
    store<N>(x.row(t) + i, v);
  }
};

template <class T>
struct MagnitudeGradient {
  Mat<const T> dy, raw;
  const float* norm;
  __device__ float operator()(int64_t t, int64_t i) const {
    return norm[i] > 0 ? static_cast<float>(dy.row(t)[i]) * static_cast<float>(raw.row(t)[i]) / norm[i] : 0;
  }
};

}  // namespace

template <class T>
void adapted_row_norms(Cuda& cuda, Mat<const T> w, Mat<const T> wa, Mat<const T> aa, Mat<const T> b, Stat<T> scaling, Stat<T>* norms) {
  launch(cuda, "adapted_row_norms", dim3(blocks_for(w.rows, kRowsPerBlock)), dim3(kRowsPerBlock * kWarp), 0, row_norms_kernel<T>, w, wa, aa, b,
         scaling, norms);
}

template <class T>
void gains(Cuda& cuda, int64_t n, const T* magnitude, const T* norms, T* gains) {
  elementwise(cuda, "gains", false, 1, n, Quotient{magnitude, norms, gains});
}

template <class T>
void apply_gains(Cuda& cuda, const Stat<T>* gain, const T* bias, Mat<T> y, Mat<T> raw) {
  const bool wide = are_wide(y.cols, y) && (!bias || is_wide(bias, 0)) && (!raw || are_wide(y.cols, raw));
  elementwise(cuda, "apply_gains", wide, y.rows, y.cols, ApplyGains<T>{gain, bias, y, raw});
}

template <class T>
void scale_columns(Cuda& cuda, const Stat<T>* gain, Mat<T> x) {
  elementwise(cuda, "scale_columns", are_wide(x.cols, x), x.rows, x.cols, ScaleColumns<T>{gain, x});
}

template <class T>
void add_magnitude_gradient(Cuda& cuda, Mat<const T> dy, Mat<const T> raw, const Stat<T>* norm, Stat<T>* dmagnitude) {
  column_sums(cuda, "add_magnitude_gradient", dy.rows, dy.cols, MagnitudeGradient<T>{dy, raw, norm}, dmagnitude);
}

#define CONCORD_INSTANTIATE(T)                                                                                                     \
  template void adapted_row_norms<T>(Cuda&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>, float, float*);                \
  template void apply_gains<T>(Cuda&, const float*, const T*, Mat<T>, Mat<T>);                                                     \
  template void scale_columns<T>(Cuda&, const float*, Mat<T>);                                                                     \
  template void add_magnitude_gradient<T>(Cuda&, Mat<const T>, Mat<const T>, const float*, float*);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE
template void gains<float>(Cuda&, int64_t, const float*, const float*, float*);

}  // namespace concord::ops
