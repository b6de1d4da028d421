// Log-probability of each row's target and, in the same pass over the vocabulary, its gradient in place of the logits. A block a row.
#include <cfloat>

#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

constexpr int kThreads = 512;

// log of the sum of exp over a row, in one pass: each thread keeps its largest and a sum relative to it. `shared` is two floats for
// each warp.
__device__ float log_sum_exp(const float* row, int64_t cols, float* shared) {
  float top = -FLT_MAX, sum = 0;  // not -infinity: a logit may be that, and what is added then is 0
  for (int64_t i = threadIdx.x; i < cols; i += kThreads) {
    const float x = row[i];
    if (x > top) {
      sum = sum * expf(top - x) + 1;
      top = x;
    } else {
      sum += expf(x - top);
    }
  }
  const float of_all = block_max(top, shared);
  return of_all + logf(block_sum(sum * expf(top - of_all), shared + kThreads / kWarp));
}

__global__ void target_logps_kernel(Mat<const float> logits, const int32_t* targets, float* logp) {
  __shared__ float shared[2 * kThreads / kWarp];
  const float* row = logits.row(blockIdx.x);
  const float lse = log_sum_exp(row, logits.cols, shared);
  if (threadIdx.x == 0) logp[blockIdx.x] = row[targets[blockIdx.x]] - lse;
}

// A row of T begins where its row of floats does and is no wider, so what is written lies behind what is still to be read; only
// within a step must all have read before any writes.
template <class T>
__global__ void gradient_kernel(Mat<const float> logits, const int32_t* targets, const float* coef, float inverse_cap, float* logp, Mat<T> gradient) {
  __shared__ float shared[2 * kThreads / kWarp];
  const float* row = logits.row(blockIdx.x);
  const int64_t target = targets[blockIdx.x];
  const float of_target = row[target], lse = log_sum_exp(row, logits.cols, shared), c = coef[blockIdx.x];
  T* to = gradient.row(blockIdx.x);
  for (int64_t begin = 0; begin < logits.cols; begin += kThreads) {
    const int64_t i = begin + threadIdx.x;
    const float x = i < logits.cols ? row[i] : 0;
    __syncthreads();
    if (i >= logits.cols) continue;
    // d (cap tanh(x / cap)) / dx = 1 - tanh^2, and the tanh is the capped logit over the cap; 1 where there is no cap.
    const float tanh = x * inverse_cap, minus_p = -expf(x - lse);
    to[i] = static_cast<T>(c * (i == target ? 1 + minus_p : minus_p) * (1 - tanh * tanh));
  }
  if (threadIdx.x == 0) logp[blockIdx.x] = of_target - lse;
}

}  // namespace

template <class T>
void target_logps(Cuda& cuda, Mat<const Stat<T>> logits, const int32_t* targets, Stat<T>* logp) {
  launch(cuda, "target_logps", dim3(static_cast<unsigned>(logits.rows)), dim3(kThreads), 0, target_logps_kernel, logits, targets, logp);
}

template <class T>
void target_logps_and_gradient(Cuda& cuda, Mat<const Stat<T>> logits, const int32_t* targets, const Stat<T>* coef, Stat<T> softcap,
                               Stat<T>* logp, Mat<T> gradient) {
  const float inverse_cap = softcap == 0 ? 0 : 1 / softcap;
  launch(cuda, "target_logps_and_gradient", dim3(static_cast<unsigned>(logits.rows)), dim3(kThreads), 0, gradient_kernel<T>, logits, targets,
         coef, inverse_cap, logp, gradient);
}

#define CONCORD_INSTANTIATE(T)                                                               \
  template void target_logps<T>(Cuda&, Mat<const float>, const int32_t*, float*);            \
  template void target_logps_and_gradient<T>(Cuda&, Mat<const float>, const int32_t*, const float*, float, float*, Mat<T>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
