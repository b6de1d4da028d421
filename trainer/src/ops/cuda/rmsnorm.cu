// Root mean square norm: y = x rstd (offset + w), rstd = 1/sqrt(mean(x^2) + eps); of whole rows, a block each, and of each
// head's query and key, a warp each.
#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

constexpr int kRowThreads = 256, kHeadsPerBlock = 8;

template <class T>
__device__ float gain(const RmsNorm<T>& norm, int64_t i) {
  return norm.offset + static_cast<float>(norm.weight[i]);
}

// With delta, sum = x + delta is stored and normed as it is stored: the backward pass reads no other. Threads take the same
// columns in both passes, so each reads what it wrote itself.
template <int N, class T>
__global__ void norm_kernel(Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T> norm, Mat<T> y, float* rstd) {
  __shared__ float warps[kRowThreads / kWarp];
  const int64_t t = blockIdx.x;
  float square = 0;
  for (int64_t i = threadIdx.x * N; i < x.cols; i += kRowThreads * N) {
    Lanes<N> v = load<N>(x.row(t) + i);
    if (delta) {
      const Lanes<N> d = load<N>(delta.row(t) + i);
      for (int k = 0; k < N; k++) v.v[k] = static_cast<float>(static_cast<T>(v.v[k] + d.v[k]));
      store<N>(sum.row(t) + i, v);
    }
    for (int k = 0; k < N; k++) square += v.v[k] * v.v[k];
  }
  const float r = 1.0f / sqrtf(block_sum(square, warps) / static_cast<float>(x.cols) + norm.eps);
  const T* normed = delta ? sum.row(t) : x.row(t);
  for (int64_t i = threadIdx.x * N; i < x.cols; i += kRowThreads * N) {
    Lanes<N> v = load<N>(normed + i);
    for (int k = 0; k < N; k++) v.v[k] *= r * gain(norm, i + k);
    store<N>(y.row(t) + i, v);
  }
  if (threadIdx.x == 0) rstd[t] = r;
}

// With g = offset + w: dx += r (g dy - x r^2 mean(g dy x)).
template <int N, class T>
__global__ void norm_backward_kernel(Mat<const T> x, RmsNorm<T> norm, const float* rstd, Mat<const T> dy, Mat<T> dx) {
  __shared__ float warps[kRowThreads / kWarp];
  const int64_t t = blockIdx.x;
  float sum = 0;
  for (int64_t i = threadIdx.x * N; i < x.cols; i += kRowThreads * N) {
    const Lanes<N> v = load<N>(x.row(t) + i), d = load<N>(dy.row(t) + i);
    for (int k = 0; k < N; k++) sum += gain(norm, i + k) * d.v[k] * v.v[k];
  }
  const float r = rstd[t], along = block_sum(sum, warps) * r * r * r / static_cast<float>(x.cols);
  for (int64_t i = threadIdx.x * N; i < x.cols; i += kRowThreads * N) {
    const Lanes<N> v = load<N>(x.row(t) + i), d = load<N>(dy.row(t) + i);
    Lanes<N> out = load<N>(dx.row(t) + i);
    for (int k = 0; k < N; k++) out.v[k] += r * gain(norm, i + k) * d.v[k] - along * v.v[k];
    store<N>(dx.row(t) + i, out);
  }
}

template <class T>
struct WeightGradient {
  Mat<const T> x, dy;
  const float* rstd;
  __device__ float operator()(int64_t t, int64_t i) const {
    return static_cast<float>(dy.row(t)[i]) * static_cast<float>(x.row(t)[i]) * rstd[t];
  }
};

// A warp's head and row: heads queries of a row, then its keys.
struct HeadPlace {
  int64_t t, head;
  bool inside;
};
__device__ HeadPlace head_place(int64_t rows, int64_t heads) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kHeadsPerBlock + threadIdx.x / kWarp;
  return {index / heads, index % heads, index < rows * heads};
}

template <class T>
__global__ void head_norms_kernel(Mat<T> qkv, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<T> raw, Mat<float> rstd) {
  const HeadPlace at = head_place(qkv.rows, shape.heads + shape.kv_heads);
  if (!at.inside) return;
  const RmsNorm<T>& norm = at.head < shape.heads ? query : key;
  T* x = qkv.row(at.t) + at.head * shape.head_dim;
  T* kept = raw.row(at.t) + at.head * shape.head_dim;
  float square = 0;
  for (int64_t i = lane_of(); i < shape.head_dim; i += kWarp) {
    kept[i] = x[i];
    square += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  }
  const float r = 1.0f / sqrtf(warp_sum(square) / static_cast<float>(shape.head_dim) + norm.eps);
  for (int64_t i = lane_of(); i < shape.head_dim; i += kWarp) x[i] = static_cast<T>(static_cast<float>(x[i]) * r * gain(norm, i));
  if (lane_of() == 0) rstd.row(at.t)[at.head] = r;
}

template <class T>
__global__ void head_norms_backward_kernel(Mat<const T> raw, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<const float> rstd,
                                           Mat<T> dqkv) {
  const HeadPlace at = head_place(raw.rows, shape.heads + shape.kv_heads);
  if (!at.inside) return;
  const RmsNorm<T>& norm = at.head < shape.heads ? query : key;
  const T* x = raw.row(at.t) + at.head * shape.head_dim;
  T* d = dqkv.row(at.t) + at.head * shape.head_dim;
  float sum = 0;
  for (int64_t i = lane_of(); i < shape.head_dim; i += kWarp) sum += gain(norm, i) * static_cast<float>(d[i]) * static_cast<float>(x[i]);
  const float r = rstd.row(at.t)[at.head], along = warp_sum(sum) * r * r * r / static_cast<float>(shape.head_dim);
  for (int64_t i = lane_of(); i < shape.head_dim; i += kWarp)
    d[i] = static_cast<T>(r * gain(norm, i) * static_cast<float>(d[i]) - along * static_cast<float>(x[i]));
}

// Row t of the sum is row t / heads of the batch and its head begin + t % heads.
template <class T>
struct HeadWeightGradient {
  Mat<const T> raw, dqkv;
  Mat<const float> rstd;
  int64_t begin, heads, dim;
  __device__ float operator()(int64_t index, int64_t i) const {
    const int64_t t = index / heads, head = begin + index % heads, col = head * dim + i;
    return static_cast<float>(dqkv.row(t)[col]) * static_cast<float>(raw.row(t)[col]) * rstd.row(t)[head];
  }
};

template <class T>
void norm(Cuda& cuda, const char* name, Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T> norm, Mat<T> y, float* rstd) {
  const dim3 grid(static_cast<unsigned>(x.rows)), block(kRowThreads);
  if (are_wide(x.cols, x, y) && (!delta || are_wide(x.cols, delta, sum))) {
    launch(cuda, name, grid, block, 0, norm_kernel<kWide, T>, x, delta, sum, norm, y, rstd);
  } else {
    launch(cuda, name, grid, block, 0, norm_kernel<1, T>, x, delta, sum, norm, y, rstd);
  }
}

}  // namespace

template <class T>
void rms_norm(Cuda& cuda, Mat<const T> x, RmsNorm<T> how, Mat<T> y, Stat<T>* rstd) {
  norm(cuda, "rms_norm", x, Mat<const T>(), Mat<T>(), how, y, rstd);
}

template <class T>
void add_rms_norm(Cuda& cuda, Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T> how, Mat<T> y, Stat<T>* rstd) {
  norm(cuda, "add_rms_norm", x, delta, sum, how, y, rstd);
}

template <class T>
void rms_norm_backward(Cuda& cuda, Mat<const T> x, RmsNorm<T> how, const Stat<T>* rstd, Mat<const T> dy, Mat<T> dx, Stat<T>* dw) {
  const char* name = "rms_norm_backward";
  if (dw) column_sums(cuda, name, x.rows, x.cols, WeightGradient<T>{x, dy, rstd}, dw);
  const dim3 grid(static_cast<unsigned>(x.rows)), block(kRowThreads);
  if (are_wide(x.cols, x, dy, dx)) {
    launch(cuda, name, grid, block, 0, norm_backward_kernel<kWide, T>, x, how, rstd, dy, dx);
  } else {
    launch(cuda, name, grid, block, 0, norm_backward_kernel<1, T>, x, how, rstd, dy, dx);
  }
}

template <class T>
void head_norms(Cuda& cuda, Mat<T> qkv, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<T> raw, Mat<Stat<T>> rstd) {
  const int64_t heads = qkv.rows * (shape.heads + shape.kv_heads);
  launch(cuda, "head_norms", dim3(blocks_for(heads, kHeadsPerBlock)), dim3(kHeadsPerBlock * kWarp), 0, head_norms_kernel<T>, qkv, shape, query, key,
         raw, rstd);
}

template <class T>
void head_norms_backward(Cuda& cuda, Mat<const T> raw, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<const Stat<T>> rstd,
                         Mat<T> dqkv, Stat<T>* dquery, Stat<T>* dkey) {
  const char* name = "head_norms_backward";
  const auto weights = [&](int64_t begin, int64_t heads, float* dw) {
    if (dw) column_sums(cuda, name, raw.rows * heads, shape.head_dim, HeadWeightGradient<T>{raw, dqkv, rstd, begin, heads, shape.head_dim}, dw);
  };
  weights(0, shape.heads, dquery);
  weights(shape.heads, shape.kv_heads, dkey);
  const int64_t heads = raw.rows * (shape.heads + shape.kv_heads);
  launch(cuda, name, dim3(blocks_for(heads, kHeadsPerBlock)), dim3(kHeadsPerBlock * kWarp), 0, head_norms_backward_kernel<T>, raw, shape, query,
         key, rstd, dqkv);
}

#define CONCORD_INSTANTIATE(T)                                                                                                         \
  template void rms_norm<T>(Cuda&, Mat<const T>, RmsNorm<T>, Mat<T>, float*);                                                          \
  template void add_rms_norm<T>(Cuda&, Mat<const T>, Mat<const T>, Mat<T>, RmsNorm<T>, Mat<T>, float*);                                \
  template void rms_norm_backward<T>(Cuda&, Mat<const T>, RmsNorm<T>, const float*, Mat<const T>, Mat<T>, float*);                     \
  template void head_norms<T>(Cuda&, Mat<T>, AttentionShape, RmsNorm<T>, RmsNorm<T>, Mat<T>, Mat<float>);                              \
  template void head_norms_backward<T>(Cuda&, Mat<const T>, AttentionShape, RmsNorm<T>, RmsNorm<T>, Mat<const float>, Mat<T>, float*, float*);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
