// Scalar functions that the compiler can turn into vector code inside a loop.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace concord {

inline double fast_exp(double x) { return std::exp(x); }

// exp(x) = 2^n exp(r), |r| <= ln2/2, with the degree 6 minimax polynomial of Cephes' expf (Moshier): 2 ulp.
// Below -87 the result would be denormal and is flushed to about 1e-38; above 88 it saturates.
inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23 rounds to the nearest integer
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float exp_r = p * r * r + r + 1.0f;
  const int32_t n_bits = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(12582912.0f);
  return exp_r * std::bit_cast<float>((n_bits + 127) << 23);
}

template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

inline double fast_tanh(double x) { return std::tanh(x); }

// Cephes' tanhf (Moshier): an odd polynomial below 0.625, 1 - 2/(exp(2x) + 1) above.
inline float fast_tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x, magnitude = x < 0 ? -x : x;
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * magnitude) + 1.0f);
  return magnitude < 0.625f ? near : (x < 0 ? -far : far);
}

template <class T>
inline T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

// y += alpha x
template <class T>
inline void axpy(T alpha, const T* x, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] += alpha * x[i];
}

template <class T>
inline T max_of(const T* x, int64_t n) {
  T best = x[0];
#pragma omp simd reduction(max : best)
  for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
  return best;
}

// x = cap tanh(x / cap)
template <class T>
inline void soft_cap_row(T* x, T cap, int64_t n) {
  const T inverse = T(1) / cap;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) x[i] = cap * fast_tanh(x[i] * inverse);
}

// x = exp(x - shift); returns the sum.
template <class T>
inline T exp_and_sum(T* x, T shift, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) {
    x[i] = fast_exp(x[i] - shift);
    sum += x[i];
  }
  return sum;
}

}  // namespace concord
