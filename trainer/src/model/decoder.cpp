#include "model/decoder.h"

#include <stdexcept>

#include "lora/dora.h"
#include "model/random.h"
#include "model/rope_table.h"

namespace concord {

template <class Device, class T>
Decoder<Device, T>::Decoder(Device& device, const ModelConfig& config, WeightViews<const T> weights, const DecoderPlan& plan)
    : device_(device), config_(config), weights_(std::move(weights)), plan_(plan), shape_(attention_shape(config)) {
  plan_.threads = device.threads();
  b_.lay_out(arena_, config_, plan_);
  arena_.allocate(device_);
  b_.lay_out(arena_, config_, plan_);
  for (size_t i = 0; i < b_.ropes.size(); i++) {
    const Mat<Stat<T>> table = b_.ropes[i];
    std::vector<Stat<T>> values(table.rows * table.cols);
    fill_rope_table<Stat<T>>(config_.ropes[i], {values.data(), table.rows, table.cols});
    device_.write(std::span<const Stat<T>>(values), table.data);
  }
}

template <class Device, class T>
Dropout Decoder<Device, T>::dropout_of(int64_t l, Projection projection) const {
  const auto place = static_cast<uint64_t>(4 * l + static_cast<int64_t>(projection));
  return {plan_.lora_dropout, Random(Random(dropout_step_->seed, dropout_step_->step).next(), place).next()};
}

template <class Device, class T>
Mat<const T> Decoder<Device, T>::adapter_input(int64_t l, Projection projection, Mat<const T> x) {
  if (!drops()) return x;
  const Mat<T> dropped = top(b_.dropped).col_range(0, x.cols);
  ops::dropout<T>(device_, dropout_of(l, projection), x, batch_.token_ids, dropped);
  return dropped;
}

template <class Device, class T>
void Decoder<Device, T>::place(std::span<const int32_t> tokens, std::span<const int32_t> positions) {
  tokens_ = static_cast<int64_t>(tokens.size());
  batch_.tokens = device_.place(tokens, b_.tokens).data();
  batch_.positions = device_.place(positions, b_.positions).data();
}

template <class Device, class T>
void Decoder<Device, T>::place(const PackedBatch& batch) {
  place(batch.tokens, batch.positions);
  batch_.rows = batch.n_rows();
  batch_.token_ids = device_.place(std::span(batch.token_ids), b_.token_ids).data();
  batch_.head_rows = device_.place(std::span(batch.rows), b_.rows).data();
  batch_.targets = device_.place(std::span(batch.targets), b_.targets).data();
  const AttentionView lists = batch.attention.view();
  batch_.attention = {device_.place(lists.tiles, b_.tiles), lists.groups, device_.place(lists.key_tiles, b_.key_tiles),
                      device_.place(lists.readers, b_.readers)};
}

template <class Device, class T>
void Decoder<Device, T>::forward(const PackedBatch& batch, const Lora<Device, T>* lora) {
  place(batch);
  const LoraRows<Device, T> all{0, batch.n_tokens(), lora};
  run_layers(Adapters(&all, lora ? 1 : 0),
             [&](int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse) { attend(layer, qkv, attn, lse); });
}

template <class Device, class T>
void Decoder<Device, T>::forward(const PackedBatch& batch, Adapters lora, KvCache<Device, T>& cache) {
  place(batch);
  run_layers(lora, [&](int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse) {
    cache.keep(layer, qkv);
    attend(layer, qkv, attn, lse);
  });
}

template <class Device, class T>
void Decoder<Device, T>::forward(std::span<const int32_t> tokens, std::span<const int32_t> positions, Adapters lora, KvCache<Device, T>& cache) {
  batch_ = {};
  place(tokens, positions);
  const auto launches = [&] {
    run_layers(lora, [&](int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>>) {
      cache.keep(layer, qkv);
      cache.attend(layer, qkv, attention_rule(layer), attn);
    });
  };
  if constexpr (Device::has_host_memory) {
    launches();
  } else {
    std::vector<int64_t> key = cache.launch_key();
    for (const LoraRows<Device, T>& rows : lora) key.insert(key.end(), {rows.begin, rows.end, rows.lora->id});
    graphs_.run(device_, key, launches);
  }
}

template <class Device, class T>
void Decoder<Device, T>::attend(int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse) {
  ops::attention<T>(device_, qkv, shape_, attention_rule(layer), batch_.attention, attn, lse, b_.attention_scratch);
}

// The base's product adds to what the adapters left in y, not they to its result: a large product hides that it reads its output, a small
// one would not.
template <class Device, class T>
void Decoder<Device, T>::linear(int64_t l, Projection projection, Adapters lora, Mat<T> x, Mat<T> y) {
  const Linear<const T>& layer = weights_.layers[l].of(projection);
  const int p = static_cast<int>(projection);
  const auto of = [&](const LoraRows<Device, T>& rows, auto m) { return m ? m.row_range(rows.begin, rows.end) : m; };
  const auto adapter_of = [&](const LoraRows<Device, T>& rows) -> const LoraLinear<T>& { return rows.lora->layers[l].of(projection); };
  int64_t adapted = 0;  // elements of y
  for (const LoraRows<Device, T>& rows : lora) adapted += (rows.end - rows.begin) * adapter_of(rows).cols();
  const bool all_adapted = adapted == y.rows * y.cols;
  if (layer.bias) ops::fill_rows<T>(device_, layer.bias, y);
  else if (adapted > 0 && !all_adapted) ops::fill<T>(device_, 0, y);
  for (const LoraRows<Device, T>& rows : lora) {
    const LoraLinear<T>& adapter = adapter_of(rows);
    if (adapter.parts.empty()) continue;
    lora_forward<Device, T>(device_, adapter, of(rows, adapter_input(l, projection, x)), of(rows, top_ranks(acts(l).xa[p], adapter)),
                            all_adapted && !layer.bias ? Stat<T>(0) : Stat<T>(1), of(rows, y));
  }
  ops::matmul_nt<T>(device_, 1, x, dense_weight(device_, layer, b_.dense), layer.bias || adapted > 0 ? Stat<T>(1) : Stat<T>(0), y);
  for (const LoraRows<Device, T>& rows : lora) {
    if (!adapter_of(rows).has_gains()) continue;
    if (!rows.lora->gains_are_current) throw std::logic_error("a DoRA adapter is run before refresh_gains");
    dora_forward<Device, T>(device_, adapter_of(rows), layer.bias, of(rows, y), of(rows, acts(l).raw[p]));
  }
}

template <class Device, class T>
void Decoder<Device, T>::rotate(int64_t l, Mat<T> qkv, Stat<T> direction) {
  const int rope = config_.layers[l].rope;
  if (rope >= 0) ops::rope<T>(device_, qkv, shape_, batch_.positions, b_.ropes[rope], direction);
}

template <class Device, class T>
void Decoder<Device, T>::run_layers(Adapters lora, const Attention& attention) {
  const int64_t n_layers = config_.num_hidden_layers;
  ops::embedding<T>(device_, weights_.embed, batch_.tokens, static_cast<Stat<T>>(config_.embedding_scale), x(0));
  ops::rms_norm<T>(device_, x(0), norm_of(weights_.layers[0].pre_attention_norm), top(acts(0).norm1), acts(0).rstd1);
  for (int64_t l = 0; l < n_layers; l++) {
    layer_to_mid(l, lora, attention);
    layer_mlp(l, lora);
    layer_down(l, lora);
    // The residual add goes with the norm that reads its sum: the next layer's, or the final one.
    const bool last = l + 1 == n_layers;
    const T* next_norm = last ? weights_.norm : weights_.layers[l + 1].pre_attention_norm;
    Mat<T> normed = last ? top(b_.final_norm) : top(acts(l + 1).norm1);
    Stat<T>* rstd = last ? b_.final_rstd : acts(l + 1).rstd1;
    ops::add_rms_norm<T>(device_, top(acts(l).mid), top(b_.delta), x(l + 1), norm_of(next_norm), normed, rstd);
  }
}

// norm1 -> qkv -> attention -> o -> mid, norm2
template <class Device, class T>
void Decoder<Device, T>::layer_to_mid(int64_t l, Adapters lora, const Attention& attention) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> qkv = top(layer.qkv);
  linear(l, Projection::qkv, lora, top(layer.norm1), qkv);
  if (w.query_norm)
    ops::head_norms<T>(device_, qkv, shape_, norm_of(w.query_norm), norm_of(w.key_norm), top(layer.head_raw), top(layer.head_rstd));
  rotate(l, qkv, 1);
  attention(l, qkv, top(layer.attn), top(layer.lse));
  const Mat<T> out = top(w.post_attention_norm ? layer.attn_out : b_.delta);
  linear(l, Projection::o, lora, top(layer.attn), out);
  if (w.post_attention_norm) ops::rms_norm<T>(device_, out, norm_of(w.post_attention_norm), top(b_.delta), layer.attn_out_rstd);
  ops::add_rms_norm<T>(device_, x(l), top(b_.delta), top(layer.mid), norm_of(w.pre_mlp_norm), top(layer.norm2), layer.rstd2);
}

// norm2 -> gate, up -> act
template <class Device, class T>
void Decoder<Device, T>::layer_mlp(int64_t l, Adapters lora) {
  auto& layer = acts(l);
  linear(l, Projection::gate_up, lora, top(layer.norm2), top(layer.gate_up));
  ops::gated_activation<T>(device_, config_.activation, top(layer.gate_up), top(layer.act));
}

// act -> down -> b_.delta, what the layer adds to mid
template <class Device, class T>
void Decoder<Device, T>::layer_down(int64_t l, Adapters lora) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> out = top(w.post_mlp_norm ? layer.mlp_out : b_.delta);
  linear(l, Projection::down, lora, top(layer.act), out);
  if (w.post_mlp_norm) ops::rms_norm<T>(device_, out, norm_of(w.post_mlp_norm), top(b_.delta), layer.mlp_out_rstd);
}

#define CONCORD_INSTANTIATE(Device, T)                                                                                         \
  template Decoder<Device, T>::Decoder(Device&, const ModelConfig&, WeightViews<const T>, const DecoderPlan&);                 \
  template void Decoder<Device, T>::forward(const PackedBatch&, const Lora<Device, T>*);                                       \
  template void Decoder<Device, T>::forward(const PackedBatch&, Adapters, KvCache<Device, T>&);                                \
  template void Decoder<Device, T>::forward(std::span<const int32_t>, std::span<const int32_t>, Adapters, KvCache<Device, T>&); \
  template void Decoder<Device, T>::attend(int64_t, Mat<T>, Mat<T>, Mat<Stat<T>>);                                             \
  template void Decoder<Device, T>::layer_to_mid(int64_t, Adapters, const Attention&);                                         \
  template void Decoder<Device, T>::layer_mlp(int64_t, Adapters);                                                              \
  template void Decoder<Device, T>::layer_down(int64_t, Adapters);                                                             \
  template Mat<const T> Decoder<Device, T>::adapter_input(int64_t, Projection, Mat<const T>);                                  \
  template Dropout Decoder<Device, T>::dropout_of(int64_t, Projection) const;                                                  \
  template void Decoder<Device, T>::rotate(int64_t, Mat<T>, Stat<T>);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
