// AdamW in one pass over parameters, gradients and both moments; what products read of them; and the norm of the gradients.
#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

struct Step {
  AdamWStep<float> s;
  float *p, *m, *v;
  const float* g;
  template <int N>
  __device__ void apply(int64_t, int64_t i) const {
    Lanes<N> p_i = load<N>(p + i), m_i = load<N>(m + i), v_i = load<N>(v + i);
    const Lanes<N> g_i = load<N>(g + i);
    for (int k = 0; k < N; k++) {
      const float g_k = g_i.v[k] * s.grad_scale;
      m_i.v[k] = s.beta1 * m_i.v[k] + s.keep1 * g_k;
      v_i.v[k] = s.beta2 * v_i.v[k] + s.keep2 * g_k * g_k;
      p_i.v[k] = p_i.v[k] * s.decay - s.size * m_i.v[k] / (sqrtf(v_i.v[k]) * s.inverse_root + s.epsilon);
    }
    store<N>(p + i, p_i);
    store<N>(m + i, m_i);
    store<N>(v + i, v_i);
  }
};

struct Round {
  const float* x;
  Bf16* y;
  template <int N>
  __device__ void apply(int64_t, int64_t i) const {
    store<N>(y + i, load<N>(x + i));
  }
};

constexpr int kSumThreads = 256, kSumBlocks = 1024;
static_assert(kSumBlocks * sizeof(double) <= kReductionBytes);

// sums[block] = what the block's threads found, halves added to halves until one is left.
__device__ void add_up(double mine, double* sums) {
  __shared__ double parts[kSumThreads];
  parts[threadIdx.x] = mine;
  for (unsigned half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}

__global__ void squares_kernel(const float* x, int64_t n, double* sums) {
  double sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kSumThreads + threadIdx.x; i < n; i += kSumBlocks * kSumThreads)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  add_up(sum, sums);
}

// The sum of what all blocks found, in place of the first's.
__global__ void total_kernel(double* sums) {
  double sum = 0;
  for (int i = threadIdx.x; i < kSumBlocks; i += kSumThreads) sum += sums[i];
  add_up(sum, sums);
}

}  // namespace

template <class T>
void adamw(Cuda& cuda, const AdamWStep<T>& step, int64_t n, T* parameters, T* first, T* second, const T* grads) {
  const int64_t whole = n / kWide * kWide;
  const bool wide = is_wide(parameters, whole) && is_wide(first, whole) && is_wide(second, whole) && is_wide(grads, whole);
  const int64_t begin = wide ? whole : 0;  // the rest does not fill a thread's share
  if (wide) elementwise(cuda, "adamw", true, 1, whole, Step{step, parameters, first, second, grads});
  elementwise(cuda, "adamw", false, 1, n - begin, Step{step, parameters + begin, first + begin, second + begin, grads + begin});
}

template <class T>
void round(Cuda& cuda, int64_t n, const Stat<T>* x, T* y) {
  elementwise(cuda, "round", is_wide(x, n) && is_wide(y, n), 1, n, Round{x, y});
}

template <class T>
double sum_of_squares(Cuda& cuda, const T* x, int64_t n) {
  auto* sums = reinterpret_cast<double*>(cuda.state().reduction);
  launch(cuda, "sum_of_squares", dim3(kSumBlocks), dim3(kSumThreads), 0, squares_kernel, x, n, sums);
  launch(cuda, "sum_of_squares", dim3(1), dim3(kSumThreads), 0, total_kernel, sums);
  double total = 0;
  cuda.fetch(sums, &total, 1);
  return total;
}

template void adamw<float>(Cuda&, const AdamWStep<float>&, int64_t, float*, float*, float*, const float*);
template void round<Bf16>(Cuda&, int64_t, const float*, Bf16*);
template double sum_of_squares<float>(Cuda&, const float*, int64_t);

}  // namespace concord::ops
