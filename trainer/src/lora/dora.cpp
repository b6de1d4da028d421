#include "lora/dora.h"

#include <algorithm>
#include <cmath>

namespace concord {
namespace {

constexpr int64_t kRowsPerPiece = 64;
constexpr int64_t kColsPerPiece = 64;

template <class T>
double dot(const T* x, const T* y, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

// The base's weight of one module; `scratch` holds its linear layer where that is quantized.
template <class T>
Mat<const T> weight_of(Cpu& cpu, const WeightViews<const T>& base, const typename Lora<T>::Module& m, std::vector<T>& scratch) {
  auto layer = base.layers[m.layer];
  const Linear<const T>& linear = layer.of(m.projection);
  if (linear.nf4) scratch.resize(linear.weight.rows * linear.weight.cols);
  return dense_weight<T>(cpu, linear, scratch.data()).row_range(m.col_begin, m.col_begin + m.out);
}

}  // namespace

template <class T>
void adapted_row_norms(Cpu& cpu, Mat<const T> w, T scaling, Mat<const T> a, Mat<const T> b, T* norms) {
  const int64_t r = a.rows;
  std::vector<T> wa_values(w.rows * r), aa_values(r * r);
  const Mat<T> wa(wa_values.data(), w.rows, r), aa(aa_values.data(), r, r);
  ops::matmul_nt<T>(cpu, T(1), w, a, T(0), wa);
  ops::matmul_nt<T>(cpu, T(1), a, a, T(0), aa);
  const double s = static_cast<double>(scaling);
  cpu.for_ranges(w.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T* bi = b.row(i);
      double square = dot(w.row(i), w.row(i), w.cols) + 2 * s * dot(bi, wa.row(i), r);
      for (int64_t k = 0; k < r; k++) square += s * s * static_cast<double>(bi[k]) * dot(bi, aa.row(k), r);
      norms[i] = static_cast<T>(std::sqrt(std::max(square, 0.0)));
    }
  });
}

template <class T>
void refresh_gains(Cpu& cpu, const WeightViews<const T>& base, Lora<T>& lora) {
  if (!lora.config.use_dora) return;
  std::vector<T> scratch;
  for (const auto& m : lora.modules) {
    const Mat<const T> a(lora.values.data() + m.a_offset, m.r, m.in), b(lora.values.data() + m.b_offset, m.out, m.r);
    T* norms = lora.norms.data() + m.row_offset;
    adapted_row_norms<T>(cpu, weight_of(cpu, base, m, scratch), static_cast<T>(m.scaling), a, b, norms);
    const T* magnitude = lora.values.data() + m.magnitude_offset;
    T* gains = lora.gains.data() + m.row_offset;
    // A row of zeros has no direction to scale.
    for (int64_t i = 0; i < m.out; i++) gains[i] = norms[i] > 0 ? magnitude[i] / norms[i] : T(0);
  }
  lora.gains_are_current = true;
}

template <class T>
void start_magnitudes(Cpu& cpu, const WeightViews<const T>& base, Lora<T>& lora) {
  if (!lora.config.use_dora) return;
  refresh_gains(cpu, base, lora);
  for (const auto& m : lora.modules)
    std::copy_n(lora.norms.begin() + m.row_offset, m.out, lora.values.begin() + m.magnitude_offset);
  refresh_gains(cpu, base, lora);
}

template <class T>
void dora_forward(Cpu& cpu, const LoraLinear<T>& lora, const T* bias, Mat<T> y, Mat<T> raw) {
  for (const auto& part : lora.parts) {
    const int64_t cols = part.col_end - part.col_begin;
    const T* b = bias ? bias + part.col_begin : nullptr;
    cpu.for_ranges(y.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        T* to = y.row(t) + part.col_begin;
        if (b)
          for (int64_t i = 0; i < cols; i++) to[i] -= b[i];
        if (raw) std::copy_n(to, cols, raw.row(t) + part.col_begin);
        for (int64_t i = 0; i < cols; i++) to[i] *= part.gain[i];
        if (b)
          for (int64_t i = 0; i < cols; i++) to[i] += b[i];
      }
    });
  }
}

template <class T>
void dora_backward(Cpu& cpu, const LoraLinear<T>& lora, Mat<const T> dy, Mat<const T> raw, Mat<T> draw) {
  cpu.for_ranges(dy.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      T* to = draw.row(t);
      std::copy_n(dy.row(t), dy.cols, to);
      for (const auto& part : lora.parts)
        for (int64_t i = part.col_begin; i < part.col_end; i++) to[i] *= part.gain[i - part.col_begin];
    }
  });
  for (const auto& part : lora.parts) {
    if (!part.dmagnitude) continue;
    cpu.for_ranges(part.col_end - part.col_begin, kColsPerPiece, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < dy.rows; t++) {
        const T *dy_row = dy.row(t) + part.col_begin, *raw_row = raw.row(t) + part.col_begin;
        for (int64_t i = begin; i < end; i++)
          if (part.norm[i] > 0) part.dmagnitude[i] += dy_row[i] * raw_row[i] / part.norm[i];
      }
    });
  }
}

#define CONCORD_INSTANTIATE(T)                                                                            \
  template void adapted_row_norms<T>(Cpu&, Mat<const T>, T, Mat<const T>, Mat<const T>, T*);              \
  template void refresh_gains<T>(Cpu&, const WeightViews<const T>&, Lora<T>&);                            \
  template void start_magnitudes<T>(Cpu&, const WeightViews<const T>&, Lora<T>&);                         \
  template void dora_forward<T>(Cpu&, const LoraLinear<T>&, const T*, Mat<T>, Mat<T>);                    \
  template void dora_backward<T>(Cpu&, const LoraLinear<T>&, Mat<const T>, Mat<const T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord
