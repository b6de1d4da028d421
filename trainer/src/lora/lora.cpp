#include "lora/lora.h"

#include <algorithm>
#include <cmath>

#include "model/random.h"
#include "model/weights.h"

namespace concord {
namespace {

bool ends_with(const std::string& text, const char* suffix) { return text.ends_with(suffix); }

struct Place {
  const char* suffix;
  int64_t col_begin, col_end;
};

// Lays out A of every module of one fused layer, one after another, then their B.
template <class T>
class Builder {
 public:
  Builder(const Adapter& adapter, Lora<T>& lora) : adapter_(adapter), lora_(lora) {}

  void add(int64_t layer, std::vector<Place> places) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    std::vector<const LoraModule*> found;
    for (const Place& place : places) {
      for (const LoraModule& m : adapter_.modules) {
        if (!m.module.starts_with(prefix) || !ends_with(m.module, place.suffix)) continue;
        found.push_back(&m);
        lora_.modules.push_back({m.module, m.in, m.out, m.r, m.scaling, 0, 0});
      }
    }
    auto module = lora_.modules.end() - static_cast<int64_t>(found.size());
    for (const LoraModule* m : found) module++->a_offset = append(m->a);
    module = lora_.modules.end() - static_cast<int64_t>(found.size());
    for (const LoraModule* m : found) module++->b_offset = append(m->b);
  }

 private:
  int64_t append(const std::vector<float>& from) {
    const auto offset = static_cast<int64_t>(lora_.values.size());
    lora_.values.insert(lora_.values.end(), from.begin(), from.end());
    return offset;
  }

  const Adapter& adapter_;
  Lora<T>& lora_;
};

// Points a fused layer's views at the flat buffers, in the order Builder laid them out.
template <class T>
void attach(Lora<T>& lora, LoraLinear<T>& linear, int64_t layer, const std::vector<Place>& places) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  T* grads = lora.grads.empty() ? nullptr : lora.grads.data();
  int64_t ranks = 0;
  for (const Place& place : places) {
    for (const auto& m : lora.modules) {
      if (!m.name.starts_with(prefix) || !ends_with(m.name, place.suffix)) continue;
      if (!linear.a) {
        linear.a = Mat<T>(lora.values.data() + m.a_offset, 0, m.in);
        if (grads) linear.da = Mat<T>(grads + m.a_offset, 0, m.in);
      }
      Mat<T> b(lora.values.data() + m.b_offset, m.out, m.r), db;
      if (grads) db = Mat<T>(grads + m.b_offset, m.out, m.r);
      linear.parts.push_back({place.col_begin, place.col_end, ranks, ranks + m.r, static_cast<T>(m.scaling), b, db});
      ranks += m.r;
    }
  }
  linear.a.rows = ranks;
  if (linear.da) linear.da.rows = ranks;
}

}  // namespace

template <class T>
Lora<T> make_lora(const ModelConfig& c, const Adapter& adapter, bool trainable) {
  const AttentionShape shape = attention_shape(c);
  const int64_t q = shape.q_cols(), kv = shape.kv_cols(), inner = c.intermediate_size;
  const std::vector<Place> qkv = {{"q_proj", 0, q}, {"k_proj", q, q + kv}, {"v_proj", q + kv, q + 2 * kv}};
  const std::vector<Place> o = {{"o_proj", 0, c.hidden_size}};
  const std::vector<Place> gate_up = {{"gate_proj", 0, inner}, {"up_proj", inner, 2 * inner}};
  const std::vector<Place> down = {{"down_proj", 0, c.hidden_size}};

  Lora<T> lora;
  lora.config = adapter.config;
  Builder<T> builder(adapter, lora);
  for (int64_t l = 0; l < c.num_hidden_layers; l++) {
    for (const auto& places : {qkv, o, gate_up, down}) builder.add(l, places);
  }
  if (trainable) lora.grads.assign(lora.values.size(), T(0));
  lora.layers.resize(c.num_hidden_layers);
  for (int64_t l = 0; l < c.num_hidden_layers; l++) {
    auto& layer = lora.layers[l];
    attach(lora, layer.qkv, l, qkv);
    attach(lora, layer.o, l, o);
    attach(lora, layer.gate_up, l, gate_up);
    attach(lora, layer.down, l, down);
  }
  return lora;
}

template <class T>
int64_t ranks_max(const Lora<T>& lora) {
  int64_t ranks = 0;
  for (const auto& layer : lora.layers) {
    for (const auto* part : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) ranks = std::max(ranks, part->ranks());
  }
  return ranks;
}

Adapter to_adapter(const Lora<float>& lora) {
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

template <class T>
void lora_forward(Cpu& cpu, const LoraLinear<T>& lora, Mat<const T> x, Mat<T> xa, Mat<T> y) {
  if (lora.parts.empty()) return;
  ops::matmul_nt<T>(cpu, T(1), x, lora.a, T(0), xa);
  for (const auto& part : lora.parts) {
    ops::matmul_nt<T>(cpu, part.scaling, xa.col_range(part.rank_begin, part.rank_end), part.b, T(1),
                      y.col_range(part.col_begin, part.col_end));
  }
}

template <class T>
void lora_backward(Cpu& cpu, const LoraLinear<T>& lora, Mat<const T> x, Mat<const T> xa, Mat<const T> dy, Mat<T> dxa,
                   Mat<T> dx) {
  if (lora.parts.empty()) return;
  for (const auto& part : lora.parts) {
    const Mat<const T> dy_part = dy.col_range(part.col_begin, part.col_end);
    ops::matmul_nn<T>(cpu, part.scaling, dy_part, part.b, T(0), dxa.col_range(part.rank_begin, part.rank_end));
    if (part.db) {
      ops::matmul_tn<T>(cpu, part.scaling, dy_part, xa.col_range(part.rank_begin, part.rank_end), T(1), part.db);
    }
  }
  if (lora.da) ops::matmul_tn<T>(cpu, T(1), dxa, x, T(1), lora.da);
  if (dx) ops::matmul_nn<T>(cpu, T(1), dxa, lora.a, T(1), dx);
}

#define CONCORD_INSTANTIATE(T)                                                                       \
  template Lora<T> make_lora<T>(const ModelConfig&, const Adapter&, bool);                           \
  template int64_t ranks_max<T>(const Lora<T>&);                                                     \
  template void lora_forward<T>(Cpu&, const LoraLinear<T>&, Mat<const T>, Mat<T>, Mat<T>);           \
  template void lora_backward<T>(Cpu&, const LoraLinear<T>&, Mat<const T>, Mat<const T>, Mat<const T>, \
                                 Mat<T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord
