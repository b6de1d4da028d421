#include "lora/dora.h"

#include <algorithm>

namespace concord {
namespace {

// Used for one module after another, so that room is taken for the largest alone.
template <class Device, class T>
struct Scratch {
  typename Device::template Buffer<T> dense, wa, aa;

  static Mat<T> sized(typename Device::template Buffer<T>& buffer, int64_t rows, int64_t cols) {
    if (static_cast<int64_t>(buffer.size()) < rows * cols) buffer.resize(rows * cols);
    return {buffer.data(), rows, cols};
  }
};

// The base's weight of one module, dense.
template <class Device, class T>
Mat<const T> weight_of(Device& device, const WeightViews<const T>& base, const AdaptedModule& m, Scratch<Device, T>& scratch) {
  auto layer = base.layers[m.layer];
  const Linear<const T>& linear = layer.of(m.projection);
  if (!linear.quantized.empty()) scratch.sized(scratch.dense, linear.weight.rows, linear.weight.cols);
  return dense_weight(device, linear, scratch.dense.data()).row_range(m.col_begin, m.col_begin + m.out);
}

template <class Device, class T>
void row_norms(Device& device, Mat<const T> w, Stat<T> scaling, Mat<const T> a, Mat<const T> b, Stat<T>* norms, Scratch<Device, T>& scratch) {
  const Mat<T> wa = scratch.sized(scratch.wa, w.rows, a.rows), aa = scratch.sized(scratch.aa, a.rows, a.rows);
  ops::matmul_nt<T>(device, 1, w, a, 0, wa);
  ops::matmul_nt<T>(device, 1, a, a, 0, aa);
  ops::adapted_row_norms<T>(device, w, wa, aa, b, scaling, norms);
}

}  // namespace

template <class Device, class T>
void adapted_row_norms(Device& device, Mat<const T> w, Stat<T> scaling, Mat<const T> a, Mat<const T> b, Stat<T>* norms) {
  Scratch<Device, T> scratch;
  row_norms<Device, T>(device, w, scaling, a, b, norms, scratch);
}

template <class Device, class T>
void refresh_gains(Device& device, const WeightViews<const T>& base, Lora<Device, T>& lora) {
  if (!lora.config.use_dora) return;
  Scratch<Device, T> scratch;
  for (const auto& m : lora.modules) {
    const LoraLinear<T>& linear = lora.layers[m.layer].of(m.projection);
    const auto part = std::find_if(linear.parts.begin(), linear.parts.end(), [&](const auto& p) { return p.col_begin == m.col_begin; });
    Stat<T>* norms = lora.norms.data() + m.row_offset;
    row_norms<Device, T>(device, weight_of(device, base, m, scratch), part->scaling, linear.a.row_range(part->rank_begin, part->rank_end),
                         part->b, norms, scratch);
    ops::gains<Stat<T>>(device, m.out, lora.values.data() + m.magnitude_offset, norms, lora.gains.data() + m.row_offset);
  }
  lora.gains_are_current = true;
}

template <class Device, class T>
void start_magnitudes(Device& device, const WeightViews<const T>& base, Lora<Device, T>& lora) {
  if (!lora.config.use_dora) return;
  refresh_gains(device, base, lora);
  for (const auto& m : lora.modules)
    ops::copy<Stat<T>>(device, {lora.norms.data() + m.row_offset, 1, m.out}, {lora.values.data() + m.magnitude_offset, 1, m.out});
  refresh_gains(device, base, lora);
}

template <class Device, class T>
void dora_forward(Device& device, const LoraLinear<T>& lora, const T* bias, Mat<T> y, Mat<T> raw) {
  for (const auto& part : lora.parts)
    ops::apply_gains<T>(device, part.gain, bias ? bias + part.col_begin : nullptr, y.col_range(part.col_begin, part.col_end),
                        raw ? raw.col_range(part.col_begin, part.col_end) : raw);
}

template <class Device, class T>
void dora_backward(Device& device, const LoraLinear<T>& lora, Mat<const T> dy, Mat<const T> raw, Mat<T> draw) {
  ops::copy<T>(device, dy, draw);  // columns of modules without an adapter have no gain
  for (const auto& part : lora.parts) {
    const auto of = [&](auto m) { return m.col_range(part.col_begin, part.col_end); };
    ops::scale_columns<T>(device, part.gain, of(draw));
    if (part.dmagnitude) ops::add_magnitude_gradient<T>(device, of(dy), of(raw), part.norm, part.dmagnitude);
  }
}

#define CONCORD_INSTANTIATE(Device, T)                                                                                                \
  template void adapted_row_norms<Device, T>(Device&, Mat<const T>, Stat<T>, Mat<const T>, Mat<const T>, Stat<T>*);                   \
  template void refresh_gains<Device, T>(Device&, const WeightViews<const T>&, Lora<Device, T>&);                                     \
  template void start_magnitudes<Device, T>(Device&, const WeightViews<const T>&, Lora<Device, T>&);                                  \
  template void dora_forward<Device, T>(Device&, const LoraLinear<T>&, const T*, Mat<T>, Mat<T>);                                     \
  template void dora_backward<Device, T>(Device&, const LoraLinear<T>&, Mat<const T>, Mat<const T>, Mat<T>);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
