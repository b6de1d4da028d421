// act = silu(gate) * up, silu(x) = x sigmoid(x).
#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {

template <class T>
void swiglu(Cpu& cpu, Mat<const T> gate_up, Mat<T> act) {
  const int64_t inner = act.cols;
  cpu.for_ranges(act.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T* gate = gate_up.row(t);
      const T* up = gate + inner;
      T* out = act.row(t);
#pragma omp simd
      for (int64_t i = 0; i < inner; i++) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
    }
  });
}

// d silu(x)/dx = s (1 + x (1 - s)), s = sigmoid(x)
template <class T>
void swiglu_backward(Cpu& cpu, Mat<const T> dact, Mat<T> gate_up) {
  const int64_t inner = dact.cols;
  cpu.for_ranges(dact.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      T* __restrict gate = gate_up.row(t);
      T* __restrict up = gate + inner;
      const T* d = dact.row(t);
#pragma omp simd
      for (int64_t i = 0; i < inner; i++) {
        const T x = gate[i], s = sigmoid(x);
        const T dgate = d[i] * up[i] * s * (T(1) + x * (T(1) - s));
        up[i] = d[i] * x * s;
        gate[i] = dgate;
      }
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                 \
  template void swiglu<T>(Cpu&, Mat<const T>, Mat<T>);         \
  template void swiglu_backward<T>(Cpu&, Mat<const T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
