// Element by element: rotation, gated activations, caps, dropout.
#include <cmath>

#include "model/random.h"
#include "ops/cuda/kernel.h"

namespace concord::ops {
namespace {

// Element i of the R elements that turn is paired with element i + R/2, as in ops/cpu/rope.cpp. Columns here are the pairs of all
// heads that turn, one head after another.
template <class T>
struct Rotate {
  Mat<T> qkv;
  int64_t head_dim;
  const int32_t* positions;
  Mat<const float> table;
  float direction;
  template <int N>
  __device__ void apply(int64_t t, int64_t pair) const {
    const int64_t half = table.cols / 2, i = pair % half;
    T* x = qkv.row(t) + pair / half * head_dim + i;
    const float* cosines = table.row(positions[t]) + i;
    Lanes<N> a = load<N>(x), b = load<N>(x + half);
    for (int k = 0; k < N; k++) {
      const float c = cosines[k], s = direction * cosines[half + k], first = a.v[k], second = b.v[k];
      a.v[k] = first * c - second * s;
      b.v[k] = second * c + first * s;
    }
    store<N>(x, a);
    store<N>(x + half, b);
  }
};

struct Silu {
  __device__ static float value(float x) { return x / (1.0f + expf(-x)); }
  __device__ static float derivative(float x) {
    const float s = 1.0f / (1.0f + expf(-x));
    return s * (1.0f + x * (1.0f - s));
  }
};

struct GeluTanh {
  static constexpr float a = 0.79788456080286535588f, b = 0.044715f;  // sqrt(2 / pi)
  __device__ static float value(float x) { return 0.5f * x * (1.0f + tanhf(a * (x + b * x * x * x))); }
  __device__ static float derivative(float x) {
    const float t = tanhf(a * (x + b * x * x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * a * (1.0f + 3.0f * b * x * x);
  }
};

template <class F, class T>
struct Gate {
  Mat<const T> gate_up;
  Mat<T> act;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    const T* at = gate_up.row(t) + i;
    const Lanes<N> gate = load<N>(at);
    Lanes<N> up = load<N>(at + act.cols);
    for (int k = 0; k < N; k++) up.v[k] *= F::value(gate.v[k]);
    store<N>(act.row(t) + i, up);
  }
};

template <class F, class T>
struct GateBackward {
  Mat<const T> dact;
  Mat<T> gate_up;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    T* at = gate_up.row(t) + i;
    Lanes<N> gate = load<N>(at), up = load<N>(at + dact.cols);
    const Lanes<N> d = load<N>(dact.row(t) + i);
    for (int k = 0; k < N; k++) {
      const float x = gate.v[k];
      gate.v[k] = d.v[k] * up.v[k] * F::derivative(x);
      up.v[k] = d.v[k] * F::value(x);
    }
    store<N>(at, gate);
    store<N>(at + dact.cols, up);
  }
};

struct Cap {
  float cap;
  Mat<float> x;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    Lanes<N> v = load<N>(x.row(t) + i);
    for (int k = 0; k < N; k++) v.v[k] = cap * tanhf(v.v[k] / cap);
    store<N>(x.row(t) + i, v);
  }
};

// One draw of 64 bits decides four columns, as in ops/cpu/dropout.cpp.
template <class T>
struct Drop {
  uint64_t key, dropped;  // of 2^16
  Mat<const T> x;
  const uint64_t* row_ids;
  Mat<T> y;
  template <int N>
  __device__ void apply(int64_t t, int64_t i) const {
    const Random random(key, row_ids[t]);
    const float scale = 65536.0f / static_cast<float>(65536 - dropped);
    Lanes<N> v = load<N>(x.row(t) + i);
    for (int k = 0; k < N; k++) {
      const uint64_t bits = random.at(static_cast<uint64_t>(i + k) / 4);
      v.v[k] = (bits >> 16 * (static_cast<uint64_t>(i + k) % 4) & 0xffff) < dropped ? 0 : v.v[k] * scale;
    }
    store<N>(y.row(t) + i, v);
  }
};

template <template <class, class> class Op, class T, class A, class B>
void gated(Cuda& cuda, const char* name, Activation f, int64_t inner, A first, B second) {
  const bool wide = are_wide(inner, first, second);
  switch (f) {
    case Activation::silu: return elementwise(cuda, name, wide, first.rows, inner, Op<Silu, T>{first, second});
    case Activation::gelu_tanh: return elementwise(cuda, name, wide, first.rows, inner, Op<GeluTanh, T>{first, second});
  }
}

}  // namespace

template <class T>
void rope(Cuda& cuda, Mat<T> qkv, AttentionShape shape, const int32_t* positions, Mat<const Stat<T>> table, Stat<T> direction) {
  const int64_t half = table.cols / 2;
  const bool wide = half % kWide == 0 && shape.head_dim % kWide == 0 && is_wide(qkv.data, qkv.stride);
  elementwise(cuda, "rope", wide, qkv.rows, (shape.heads + shape.kv_heads) * half, Rotate<T>{qkv, shape.head_dim, positions, table, direction});
}

template <class T>
void gated_activation(Cuda& cuda, Activation f, Mat<const T> gate_up, Mat<T> act) {
  gated<Gate, T>(cuda, "gated_activation", f, act.cols, gate_up, act);
}

template <class T>
void gated_activation_backward(Cuda& cuda, Activation f, Mat<const T> dact, Mat<T> gate_up) {
  gated<GateBackward, T>(cuda, "gated_activation_backward", f, dact.cols, dact, gate_up);
}

template <class T>
void soft_cap(Cuda& cuda, Stat<T> cap, Mat<Stat<T>> x) {
  elementwise(cuda, "soft_cap", are_wide(x.cols, x), x.rows, x.cols, Cap{cap, x});
}

template <class T>
void dropout(Cuda& cuda, const Dropout& how, Mat<const T> x, const uint64_t* row_ids, Mat<T> y) {
  const auto dropped = static_cast<uint64_t>(std::lround(how.p * 65536));
  elementwise(cuda, "dropout", are_wide(x.cols, x, y), x.rows, x.cols, Drop<T>{how.key, dropped, x, row_ids, y});
}

#define CONCORD_INSTANTIATE(T)                                                                      \
  template void rope<T>(Cuda&, Mat<T>, AttentionShape, const int32_t*, Mat<const float>, float);    \
  template void gated_activation<T>(Cuda&, Activation, Mat<const T>, Mat<T>);                       \
  template void gated_activation_backward<T>(Cuda&, Activation, Mat<const T>, Mat<T>);              \
  template void soft_cap<T>(Cuda&, float, Mat<float>);                                              \
  template void dropout<T>(Cuda&, const Dropout&, Mat<const T>, const uint64_t*, Mat<T>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
