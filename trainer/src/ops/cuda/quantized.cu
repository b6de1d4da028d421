// From codes to dense. NF4's tables lie in shared memory, where lanes that want different entries do not wait for one another.
#include <type_traits>

#include "ops/cuda/kernel.h"
#include "ops/fp8.h"
#include "ops/nf4.h"

namespace concord::ops {
namespace {

constexpr int kThreads = 256, kCodes = 16, kMap = 256;
constexpr int64_t kPerThread = 8;  // weights; a block of 64 shares its scale among eight threads

template <class T>
__global__ void dequantize_nf4_kernel(QuantizedView q, const float* tables, int64_t n, bool wide, T* out) {
  __shared__ float codes[kCodes], map[kMap];
  if (threadIdx.x < kCodes) codes[threadIdx.x] = tables[threadIdx.x];
  map[threadIdx.x] = tables[kCodes + threadIdx.x];
  __syncthreads();
  const int64_t begin = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kPerThread;
  if (begin >= n) return;
  const int64_t block = begin / kNf4Block;
  const float scale = q.how == Quantization::nf4_double ? map[q.scale_codes[block]] * q.scale_scales[block / kNf4ScaleBlock] + q.scale_mean : q.scales[block];
  if (wide && begin + kPerThread <= n) {
    const uint32_t packed = *reinterpret_cast<const uint32_t*>(q.codes + begin / 2);
    Lanes<kPerThread> v;
    for (int k = 0; k < kPerThread; k++) v.v[k] = codes[packed >> (k / 2 * 8 + (k % 2 == 0 ? 4 : 0)) & 15] * scale;
    store<kPerThread>(out + begin, v);
  } else {
    for (int64_t i = begin; i < n && i < begin + kPerThread; i++) out[i] = static_cast<T>(codes[q.codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15] * scale);
  }
}

static_assert(kThreads == kMap);

template <class T>
void dequantize_nf4(Cuda& cuda, const QuantizedView& q, Mat<T> out) {
  const int64_t n = q.rows * q.cols;
  launch(cuda, "dequantize_nf4", dim3(blocks_for(n, kThreads * kPerThread)), dim3(kThreads), 0, dequantize_nf4_kernel<T>, q,
         static_cast<const float*>(cuda.state().nf4_tables), n, is_wide(out.data, 0), out.data);
}

template <class T>
struct DequantizeFp8 {
  QuantizedView q;
  Mat<T> out;

  template <int N>
  __device__ void apply(int64_t row, int64_t i) const {
    using Codes = std::conditional_t<N == 1, uint8_t, uint64_t>;
    static_assert(sizeof(Codes) == N);
    const Codes codes = *reinterpret_cast<const Codes*>(q.codes + row * q.cols + i);
    const float scale = q.scales[row];
    Lanes<N> v;
    for (int k = 0; k < N; k++) v.v[k] = e4m3_to_float(static_cast<uint8_t>(codes >> 8 * k)) * scale;
    store<N>(out.row(row) + i, v);
  }
};

}  // namespace

template <class T>
void dequantize(Cuda& cuda, const QuantizedView& q, Mat<T> out) {
  if (q.how == Quantization::fp8) {
    elementwise(cuda, "dequantize_fp8", are_wide(q.cols, out), q.rows, q.cols, DequantizeFp8<T>{q, out});
  } else {
    dequantize_nf4(cuda, q, out);
  }
}

template void dequantize<Bf16>(Cuda&, const QuantizedView&, Mat<Bf16>);
template void dequantize<float>(Cuda&, const QuantizedView&, Mat<float>);

}  // namespace concord::ops
