// act = f(gate) * up, with silu(x) = x sigmoid(x) or gelu_tanh(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); and
// soft_cap(x) = cap tanh(x / cap).
#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

template <class T>
struct Silu {
  static T value(T x) { return x * sigmoid(x); }
  static T derivative(T x) {
    const T s = sigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

template <class T>
struct GeluTanh {
  static constexpr T a = T(0.79788456080286535588), b = T(0.044715);  // sqrt(2 / pi)
  static T value(T x) { return T(0.5) * x * (T(1) + fast_tanh(a * (x + b * x * x * x))); }
  static T derivative(T x) {
    const T t = fast_tanh(a * (x + b * x * x * x));
    return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * a * (T(1) + T(3) * b * x * x);
  }
};

template <class F, class T>
void forward(Cpu& cpu, Mat<const T> gate_up, Mat<T> act) {
  const int64_t inner = act.cols;
  cpu.for_ranges(act.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T* gate = gate_up.row(t);
      const T* up = gate + inner;
      T* out = act.row(t);
#pragma omp simd
      for (int64_t i = 0; i < inner; i++) out[i] = F::value(gate[i]) * up[i];
    }
  });
}

template <class F, class T>
void backward(Cpu& cpu, Mat<const T> dact, Mat<T> gate_up) {
  const int64_t inner = dact.cols;
  cpu.for_ranges(dact.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      T* __restrict gate = gate_up.row(t);
      T* __restrict up = gate + inner;
      const T* d = dact.row(t);
#pragma omp simd
      for (int64_t i = 0; i < inner; i++) {
        const T x = gate[i], dgate = d[i] * up[i] * F::derivative(x);
        up[i] = d[i] * F::value(x);
        gate[i] = dgate;
      }
    }
  });
}

}  // namespace

template <class T>
void gated_activation(Cpu& cpu, Activation f, Mat<const T> gate_up, Mat<T> act) {
  switch (f) {
    case Activation::silu: return forward<Silu<T>>(cpu, gate_up, act);
    case Activation::gelu_tanh: return forward<GeluTanh<T>>(cpu, gate_up, act);
  }
}

template <class T>
void gated_activation_backward(Cpu& cpu, Activation f, Mat<const T> dact, Mat<T> gate_up) {
  switch (f) {
    case Activation::silu: return backward<Silu<T>>(cpu, dact, gate_up);
    case Activation::gelu_tanh: return backward<GeluTanh<T>>(cpu, dact, gate_up);
  }
}

template <class T>
void soft_cap(Cpu& cpu, Stat<T> cap, Mat<Stat<T>> x) {
  cpu.for_ranges(x.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) soft_cap_row(x.row(t), cap, x.cols);
  });
}

#define CONCORD_INSTANTIATE(T)                                                           \
  template void gated_activation<T>(Cpu&, Activation, Mat<const T>, Mat<T>);             \
  template void gated_activation_backward<T>(Cpu&, Activation, Mat<const T>, Mat<T>);    \
  template void soft_cap<T>(Cpu&, T, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
