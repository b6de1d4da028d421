// Moving, scaling and adding rows: embedding lookup, biases, gather and scatter around the head, fill, copy and add.
#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

template <class T>
struct Fill {
  float value;
  Mat<T> y;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> out;
    for (int k = 0; k < N; k++) out.v[k] = value;
    store<N>(y.row(t) + i, out);
  }
};

// y[t] = x[rows[t]] scale, of row t itself where rows is null.
template <class T>
struct Take {
  Mat<const T> x;
  const int32_t* rows;
  float scale;
  Mat<T> y;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> v = load<N>(x.row(rows ? rows[t] : t) + i);
    for (int k = 0; k < N; k++) v.v[k] *= scale;
    store<N>(y.row(t) + i, v);
  }
};

// y[rows[t]] = x[t]
template <class T>
struct Put {
  Mat<const T> x;
  const int32_t* rows;
  Mat<T> y;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    store<N>(y.row(rows[t]) + i, load<N>(x.row(t) + i));
  }
};

template <class T>
struct ScaleRows {
  const float* coef;
  Mat<T> x;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> v = load<N>(x.row(t) + i);
    for (int k = 0; k < N; k++) v.v[k] *= coef[t];
    store<N>(x.row(t) + i, v);
  }
};

template <class T>
struct Add {
  Mat<const T> x;
  Mat<T> y;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    const Lanes<N> a = load<N>(x.row(t) + i);
    Lanes<N> b = load<N>(y.row(t) + i);
    for (int k = 0; k < N; k++) b.v[k] += a.v[k];
    store<N>(y.row(t) + i, b);
  }
};

template <class T>
struct ElementOf {
  Mat<const T> y;
  __device__ float operator()(int64_t t, int64_t i) const { return static_cast<float>(y.row(t)[i]); }
};

constexpr int kScatterThreads = 256;

// x[rows[r],:] += scale y[r,:]. The block of the first r that has a row adds all that have it, in order, and writes once.
template <class T, class X>
__global__ void scatter_add_kernel(Mat<const T> y, const int32_t* rows, float scale, Mat<X> x) {
  __shared__ bool same[kScatterThreads];
  const int64_t r = blockIdx.x;
  const int32_t row = rows[r];
  int found = 0;
  for (int64_t i = threadIdx.x; i < r; i += kScatterThreads) found |= rows[i] == row;
  if (__syncthreads_or(found)) return;
  constexpr int kPerThread = 4;  // columns at a time, so that the search for equal rows is not repeated for each
  for (int64_t begin = 0; begin < y.cols; begin += kScatterThreads * kPerThread) {
    float sums[kPerThread] = {};
    for (int64_t first = r; first < y.rows; first += kScatterThreads) {
      __syncthreads();
      same[threadIdx.x] = first + threadIdx.x < y.rows && rows[first + threadIdx.x] == row;
      __syncthreads();
      for (int i = 0; i < kScatterThreads; i++) {
        if (!same[i]) continue;
        for (int k = 0; k < kPerThread; k++) {
          const int64_t col = begin + k * kScatterThreads + threadIdx.x;
          if (col < y.cols) sums[k] += static_cast<float>(y.row(first + i)[col]);
        }
      }
    }
    for (int k = 0; k < kPerThread; k++) {
      const int64_t col = begin + k * kScatterThreads + threadIdx.x;
      if (col < y.cols) x.row(row)[col] = static_cast<X>(static_cast<float>(x.row(row)[col]) + scale * sums[k]);
    }
  }
}

template <class T, class X>
void scatter_add(Cuda& cuda, Mat<const T> y, const int32_t* rows, float scale, Mat<X> x) {
  launch(cuda, "scatter_add", dim3(static_cast<unsigned>(y.rows)), dim3(kScatterThreads), 0, scatter_add_kernel<T, X>, y, rows, scale, x);
}

}  // namespace

template <class T>
void fill_rows(Cuda& cuda, const T* row, Mat<T> y) {
  const Mat<const T> x(row, y.rows, y.cols, 0);  // the same row again and again
  elementwise(cuda, "fill_rows", are_wide(y.cols, x, y), y.rows, y.cols, Take<T>{x, nullptr, 1, y});
}

template <class T>
void add_row_sums(Cuda& cuda, Mat<const T> y, Stat<T>* sum) {
  column_sums(cuda, "add_row_sums", y.rows, y.cols, ElementOf<T>{y}, sum);
}

template <class T>
void embedding(Cuda& cuda, Mat<const T> table, const int32_t* tokens, Stat<T> scale, Mat<T> x) {
  elementwise(cuda, "embedding", are_wide(x.cols, table, x), x.rows, x.cols, Take<T>{table, tokens, scale, x});
}

template <class T>
void embedding_backward(Cuda& cuda, Mat<const T> dx, const int32_t* tokens, Stat<T> scale, Mat<Stat<T>> dtable) {
  scatter_add(cuda, dx, tokens, scale, dtable);
}

template <class T>
void gather_rows(Cuda& cuda, Mat<const T> x, const int32_t* rows, Mat<T> y) {
  elementwise(cuda, "gather_rows", are_wide(y.cols, x, y), y.rows, y.cols, Take<T>{x, rows, 1, y});
}

template <class T>
void put_rows(Cuda& cuda, Mat<const T> x, const int32_t* rows, Mat<T> y) {
  elementwise(cuda, "put_rows", are_wide(x.cols, x, y), x.rows, x.cols, Put<T>{x, rows, y});
}

template <class T>
void scatter_add_rows(Cuda& cuda, Mat<const T> y, const int32_t* rows, Mat<T> x) {
  scatter_add(cuda, y, rows, 1, x);
}

template <class T>
void scale_rows(Cuda& cuda, const Stat<T>* coef, Mat<T> x) {
  elementwise(cuda, "scale_rows", are_wide(x.cols, x), x.rows, x.cols, ScaleRows<T>{coef, x});
}

template <class T>
void fill(Cuda& cuda, Stat<T> value, Mat<T> x) {
  elementwise(cuda, "fill", are_wide(x.cols, x), x.rows, x.cols, Fill<T>{value, x});
}

template <class T>
void copy(Cuda& cuda, Mat<const T> x, Mat<T> y) {
  elementwise(cuda, "copy", are_wide(x.cols, x, y), x.rows, x.cols, Take<T>{x, nullptr, 1, y});
}

template <class T>
void add(Cuda& cuda, Mat<const T> x, Mat<T> y) {
  elementwise(cuda, "add", are_wide(x.cols, x, y), x.rows, x.cols, Add<T>{x, y});
}

#define CONCORD_INSTANTIATE(T)                                                               \
  template void fill_rows<T>(Cuda&, const T*, Mat<T>);                                       \
  template void add_row_sums<T>(Cuda&, Mat<const T>, float*);                                \
  template void embedding<T>(Cuda&, Mat<const T>, const int32_t*, float, Mat<T>);            \
  template void embedding_backward<T>(Cuda&, Mat<const T>, const int32_t*, float, Mat<float>); \
  template void gather_rows<T>(Cuda&, Mat<const T>, const int32_t*, Mat<T>);                 \
  template void put_rows<T>(Cuda&, Mat<const T>, const int32_t*, Mat<T>);                    \
  template void scatter_add_rows<T>(Cuda&, Mat<const T>, const int32_t*, Mat<T>);            \
  template void scale_rows<T>(Cuda&, const float*, Mat<T>);                                  \
  template void fill<T>(Cuda&, float, Mat<T>);                                               \
  template void copy<T>(Cuda&, Mat<const T>, Mat<T>);                                        \
  template void add<T>(Cuda&, Mat<const T>, Mat<T>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
