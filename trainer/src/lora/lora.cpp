#include "lora/lora.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <type_traits>

#include "model/random.h"
#include "model/weights.h"

namespace concord {
namespace {

// Calls f(first, last) for the modules of each fused layer, which lie next to each other.
template <class F>
void for_each_fused(std::vector<AdaptedModule>& modules, F&& f) {
  for (auto first = modules.begin(); first != modules.end();) {
    const auto last = std::find_if(first, modules.end(), [&](const auto& m) { return m.layer != first->layer || m.projection != first->projection; });
    f(first, last);
    first = last;
  }
}

template <class S>
int64_t append(std::vector<S>& values, const std::vector<float>& from) {
  const auto offset = static_cast<int64_t>(values.size());
  values.insert(values.end(), from.begin(), from.end());
  return offset;
}

// A of every module of one fused layer, one after another, then their B and magnitudes: the stacked A are one matrix.
template <class S>
void lay_out(std::vector<AdaptedModule>& modules, std::vector<S>& values, const Adapter& adapter) {
  auto from = adapter.modules.begin();
  for_each_fused(modules, [&](auto first, auto last) {
    const auto begin = from;
    for (auto m = first; m != last; ++m) m->a_offset = append(values, (from++)->a);
    from = begin;
    for (auto m = first; m != last; ++m) m->b_offset = append(values, (from++)->b);
    from = begin;
    for (auto m = first; m != last; ++m) m->magnitude_offset = append(values, (from++)->magnitude);
  });
}

// Points the views of the fused layers at the flat buffers.
template <class Device, class T>
void attach(Lora<Device, T>& lora) {
  T* values;
  if constexpr (std::is_same_v<T, Stat<T>>) values = lora.values.data();
  else values = lora.rounded.data();
  Stat<T>* grads = lora.grads.empty() ? nullptr : lora.grads.data();
  for_each_fused(lora.modules, [&](auto first, auto last) {
    LoraLinear<T>& linear = lora.layers[first->layer].of(first->projection);
    int64_t ranks = 0;
    for (auto m = first; m != last; ++m) {
      Mat<T> b(values + m->b_offset, m->out, m->r);
      Mat<Stat<T>> db;
      if (grads) db = Mat<Stat<T>>(grads + m->b_offset, m->out, m->r);
      auto& part = linear.parts.emplace_back();
      part = {m->col_begin, m->col_begin + m->out, ranks, ranks + m->r, static_cast<Stat<T>>(m->scaling), b, db, nullptr, nullptr, nullptr};
      if (lora.config.use_dora) {
        if (grads) part.dmagnitude = grads + m->magnitude_offset;
        part.norm = lora.norms.data() + m->row_offset;
        part.gain = lora.gains.data() + m->row_offset;
      }
      ranks += m->r;
    }
    linear.a = Mat<T>(values + first->a_offset, ranks, first->in);
    if (grads) linear.da = Mat<Stat<T>>(grads + first->a_offset, ranks, first->in);
  });
}

}  // namespace

template <class Device, class T>
Lora<Device, T> make_lora(Device& device, const ModelConfig& c, const Adapter& adapter, bool trainable) {
  static std::atomic<int64_t> ids = 0;
  Lora<Device, T> lora;
  lora.id = ++ids;
  lora.config = adapter.config;
  int64_t rows = 0;
  auto module = adapter.modules.begin();
  for (const LinearSpec& linear : model_linears(c)) {
    if (module == adapter.modules.end() || module->module != linear.module) continue;
    lora.modules.push_back({module->module, module->in, module->out, module->r, module->scaling, linear.layer, linear.projection,
                            linear.col_begin, 0, 0, 0, rows});
    rows += module->out;
    ++module;
  }
  using Values = typename Lora<Device, T>::Values;
  std::vector<Stat<T>> values;
  lay_out(lora.modules, values, adapter);
  const auto n = static_cast<int64_t>(values.size());
  lora.values = Values(n);
  device.write(std::span<const Stat<T>>(values), lora.values.data());
  if constexpr (!std::is_same_v<T, Stat<T>>) lora.rounded = typename Device::template Buffer<T>(n);
  round_values(device, lora);
  if (trainable) lora.grads = Values(n);
  if (lora.config.use_dora) {
    lora.norms = Values(rows);
    lora.gains = Values(rows);
  }
  lora.layers.resize(c.num_hidden_layers);
  attach(lora);
  return lora;
}

template <class Device, class T>
void round_values(Device& device, Lora<Device, T>& lora) {
  if constexpr (!std::is_same_v<T, Stat<T>>)
    ops::round<T>(device, static_cast<int64_t>(lora.values.size()), lora.values.data(), lora.rounded.data());
}

template <class Device, class T>
int64_t ranks_max(const Lora<Device, T>& lora) {
  int64_t ranks = 0;
  for (const auto& layer : lora.layers) {
    for (const auto* part : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) ranks = std::max(ranks, part->ranks());
  }
  return ranks;
}

Adapter to_adapter(const Lora<Cpu, float>& lora) {
  Adapter adapter;
  adapter.config = lora.config;
  for (const auto& m : lora.modules) {
    LoraModule module;
    module.module = m.name;
    module.in = m.in;
    module.out = m.out;
    module.r = m.r;
    module.scaling = m.scaling;
    const auto a = lora.values.begin() + m.a_offset, b = lora.values.begin() + m.b_offset;
    module.a.assign(a, a + m.r * m.in);
    module.b.assign(b, b + m.out * m.r);
    const auto magnitude = lora.values.begin() + m.magnitude_offset;
    if (lora.config.use_dora) module.magnitude.assign(magnitude, magnitude + m.out);
    adapter.modules.push_back(std::move(module));
  }
  return adapter;
}

void initialize_adapter(Adapter& adapter, int64_t seed) {
  uint64_t index = 0;
  for (LoraModule& m : adapter.modules) {
    Random random(static_cast<uint64_t>(seed), index++);
    const double bound = 1 / std::sqrt(static_cast<double>(m.in));
    for (float& a : m.a) a = static_cast<float>((2 * random.uniform() - 1) * bound);
    std::fill(m.b.begin(), m.b.end(), 0.0f);
  }
}

template <class Device, class T>
void lora_forward(Device& device, const LoraLinear<T>& lora, Mat<const T> x, Mat<T> xa, Stat<T> beta, Mat<T> y) {
  if (lora.parts.empty()) return;
  ops::matmul_nt<T>(device, 1, x, lora.a, 0, xa);
  for (const auto& part : lora.parts) {
    ops::matmul_nt<T>(device, part.scaling, xa.col_range(part.rank_begin, part.rank_end), part.b, beta,
                      y.col_range(part.col_begin, part.col_end));
  }
}

template <class Device, class T>
void lora_backward(Device& device, const LoraLinear<T>& lora, Mat<const T> x, Mat<const T> xa, Mat<const T> dy, Mat<T> dxa,
                   Mat<T> dx) {
  if (lora.parts.empty()) return;
  for (const auto& part : lora.parts) {
    const Mat<const T> dy_part = dy.col_range(part.col_begin, part.col_end);
    ops::matmul_nn<T>(device, part.scaling, dy_part, part.b, 0, dxa.col_range(part.rank_begin, part.rank_end));
    if (part.db) {
      ops::matmul_tn<T>(device, part.scaling, dy_part, xa.col_range(part.rank_begin, part.rank_end), 1, part.db);
    }
  }
  if (lora.da) ops::matmul_tn<T>(device, 1, dxa, x, 1, lora.da);
  if (dx) ops::matmul_nn<T>(device, 1, dxa, lora.a, 0, dx);
}

#define CONCORD_INSTANTIATE(Device, T)                                                                    \
  template Lora<Device, T> make_lora<Device, T>(Device&, const ModelConfig&, const Adapter&, bool);       \
  template void round_values<Device, T>(Device&, Lora<Device, T>&);                                       \
  template int64_t ranks_max<Device, T>(const Lora<Device, T>&);                                          \
  template void lora_forward<Device, T>(Device&, const LoraLinear<T>&, Mat<const T>, Mat<T>, Stat<T>, Mat<T>);   \
  template void lora_backward<Device, T>(Device&, const LoraLinear<T>&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
