#include "model/decoder.h"

#include <algorithm>
#include <stdexcept>

#include "lora/dora.h"
#include "model/random.h"
#include "model/rope_table.h"

namespace concord {
namespace {

// About 4 MB of float logits at a time: it stays in the second-level caches between the product, the softmax and the
// product that follows; fewer than 64 rows would starve the products.
int64_t head_chunk_rows(int64_t vocab, int64_t rows_max) {
  return std::min(std::max<int64_t>(rows_max, 1), std::clamp<int64_t>((1 << 20) / vocab, 64, 1024));
}

}  // namespace

template <class T>
Decoder<T>::Decoder(Cpu& cpu, const ModelConfig& config, WeightViews<const T> weights, const DecoderPlan& plan)
    : cpu_(cpu), config_(config), weights_(std::move(weights)), plan_(plan), shape_(attention_shape(config)) {
  plan_.threads = cpu.threads();
  lay_out();
  arena_.allocate();
  lay_out();
  for (size_t i = 0; i < ropes_.size(); i++) fill_rope_table<T>(config_.ropes[i], ropes_[i]);
}

template <class T>
Arena::Parts Decoder<T>::memory_parts(const ModelConfig& config, const DecoderPlan& plan) {
  Cpu one(1);
  Decoder counting(one, config, static_cast<const T*>(nullptr), DecoderPlan{});
  counting.arena_ = Arena();
  counting.plan_ = plan;
  counting.lay_out();
  return counting.arena_.parts();
}

template <class T>
void Decoder<T>::lay_out() {
  const int64_t tokens = plan_.tokens_max, hidden = config_.hidden_size;
  const char* kept = "activations";
  x_.clear();
  for (int64_t l = 0; l < (plan_.backward ? config_.num_hidden_layers + 1 : 1); l++) {
    x_.push_back(arena_.take<T>(kept, tokens, hidden));
  }
  layers_.assign(plan_.backward && !plan_.recompute ? config_.num_hidden_layers : 1, {});
  for (auto& layer : layers_) lay_out_layer(layer);
  final_norm_ = arena_.take<T>(kept, tokens, hidden);
  final_rstd_ = arena_.take<T>(kept, tokens);

  delta_ = arena_.take<T>("scratch", tokens, hidden);
  attention_scratch_ = arena_.take<T>("scratch", plan_.threads, ops::attention_scratch_elements(plan_.keys_max));
  ropes_.clear();
  for (const Rope& rope : config_.ropes) ropes_.push_back(arena_.take<T>("scratch", rope_rows(rope, plan_.positions), rope.rotary_dim));
  if (plan_.backward) {
    d_ = arena_.take<T>("scratch", tokens, hidden);
    dact_ = arena_.take<T>("scratch", tokens, config_.intermediate_size);
    dqkv_ = arena_.take<T>("scratch", tokens, shape_.qkv_cols());
    dattn_ = arena_.take<T>("scratch", tokens, shape_.q_cols());
    dxa_ = arena_.take<T>("scratch", tokens, plan_.lora_ranks);
    if (plan_.dora) draw_ = arena_.take<T>("scratch", tokens, std::max({shape_.qkv_cols(), 2 * config_.intermediate_size, hidden}));
  }
  if (plan_.lora_dropout > 0) dropped_ = arena_.take<T>("scratch", tokens, std::max({hidden, shape_.q_cols(), config_.intermediate_size}));
  if (plan_.nf4) dense_ = arena_.take<T>("scratch", largest_linear(config_));
  head_chunk_rows_ = head_chunk_rows(config_.vocab_size, tokens);
  head_rows_ = arena_.take<T>("head", head_chunk_rows_, hidden);
  logits_ = arena_.take<T>("head", head_chunk_rows_, config_.vocab_size);
  if (plan_.head_unit_gradients) unit_ = arena_.take<T>("head", tokens, hidden);
}

template <class T>
void Decoder<T>::lay_out_layer(LayerActivations<T>& layer) {
  const int64_t tokens = plan_.tokens_max, hidden = config_.hidden_size, inner = config_.intermediate_size;
  const auto take = [&](int64_t cols) { return arena_.take<T>("activations", tokens, cols); };
  layer.norm1 = take(hidden);
  layer.qkv = take(shape_.qkv_cols());
  layer.attn = take(shape_.q_cols());
  layer.lse = take(shape_.heads);
  layer.mid = take(hidden);
  layer.norm2 = take(hidden);
  layer.gate_up = take(2 * inner);
  layer.act = take(inner);
  layer.rstd1 = take(1).data;
  layer.rstd2 = take(1).data;
  if (config_.qk_norm) {
    layer.head_raw = take(shape_.q_cols() + shape_.kv_cols());
    layer.head_rstd = take(shape_.heads + shape_.kv_heads);
  }
  if (config_.post_norms) {
    layer.attn_out = take(hidden);
    layer.mlp_out = take(hidden);
    layer.attn_out_rstd = take(1).data;
    layer.mlp_out_rstd = take(1).data;
  }
  for (Mat<T>& xa : layer.xa) xa = take(plan_.lora_ranks);
  if (plan_.dora && plan_.backward)
    for (const Projection p : {Projection::qkv, Projection::o, Projection::gate_up, Projection::down})
      layer.raw[static_cast<int>(p)] = take(columns(p));
}

template <class T>
int64_t Decoder<T>::columns(Projection projection) const {
  const int64_t all[] = {shape_.qkv_cols(), config_.hidden_size, 2 * config_.intermediate_size, config_.hidden_size};
  return all[static_cast<int>(projection)];
}

template <class T>
Dropout Decoder<T>::dropout_of(int64_t l, Projection projection) const {
  const auto place = static_cast<uint64_t>(4 * l + static_cast<int64_t>(projection));
  return {plan_.lora_dropout, Random(Random(dropout_step_->seed, dropout_step_->step).next(), place).next()};
}

template <class T>
Mat<const T> Decoder<T>::adapter_input(int64_t l, Projection projection, Mat<const T> x) {
  if (!drops()) return x;
  const Mat<T> dropped = top(dropped_).col_range(0, x.cols);
  ops::dropout<T>(cpu_, dropout_of(l, projection), x, token_ids_, dropped);
  return dropped;
}

template <class T>
void Decoder<T>::forward(const PackedBatch& batch, const Lora<T>* lora) {
  token_ids_ = batch.token_ids.data();
  const LoraRows<T> all{0, batch.n_tokens(), lora};
  forward(batch.tokens, batch.positions, Adapters(&all, lora ? 1 : 0),
          [&](int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<T> lse) { attend(layer, batch, qkv, attn, lse); });
}

template <class T>
void Decoder<T>::attend(int64_t layer, const PackedBatch& batch, Mat<T> qkv, Mat<T> attn, Mat<T> lse) {
  ops::attention<T>(cpu_, qkv, shape_, attention_rule(layer), batch.segments, batch.groups, attn, lse, attention_scratch_);
}

template <class T>
void Decoder<T>::linear(int64_t l, Projection projection, Adapters lora, Mat<T> x, Mat<T> y) {
  const Linear<const T>& layer = weights_.layers[l].of(projection);
  if (layer.bias) ops::fill_rows<T>(cpu_, layer.bias, y);
  ops::matmul_nt<T>(cpu_, T(1), x, dense_weight<T>(cpu_, layer, dense_), layer.bias ? T(1) : T(0), y);
  for (const LoraRows<T>& rows : lora) {
    const LoraLinear<T>& adapter = rows.lora->layers[l].of(projection);
    if (adapter.parts.empty()) continue;
    const auto of = [&](auto m) { return m.row_range(rows.begin, rows.end); };
    const int p = static_cast<int>(projection);
    lora_forward<T>(cpu_, adapter, of(adapter_input(l, projection, x)), of(top_ranks(acts(l).xa[p], adapter)), of(y));
    if (!adapter.has_gains()) continue;
    if (!rows.lora->gains_are_current) throw std::logic_error("a DoRA adapter is run before refresh_gains");
    const Mat<T> raw = acts(l).raw[p];
    dora_forward<T>(cpu_, adapter, layer.bias, of(y), raw ? of(raw) : raw);
  }
}

template <class T>
void Decoder<T>::rotate(int64_t l, Mat<T> qkv, const int32_t* positions, T direction) {
  const int rope = config_.layers[l].rope;
  if (rope >= 0) ops::rope<T>(cpu_, qkv, shape_, positions, ropes_[rope], direction);
}

template <class T>
void Decoder<T>::attend_cached(int64_t layer, Mat<const T> qkv, Mat<const T> cache, std::span<const CachedSegment> segments, Mat<T> attn) {
  ops::cached_attention<T>(cpu_, qkv, shape_, attention_rule(layer), cache, cache, segments, attn);
}

template <class T>
void Decoder<T>::forward(std::span<const int32_t> tokens, std::span<const int32_t> positions, Adapters lora,
                         const Attention& attention) {
  tokens_ = static_cast<int64_t>(tokens.size());
  const int64_t n_layers = config_.num_hidden_layers;
  ops::embedding<T>(cpu_, weights_.embed, tokens.data(), static_cast<T>(config_.embedding_scale), x(0));
  ops::rms_norm<T>(cpu_, x(0), norm_of(weights_.layers[0].pre_attention_norm), top(acts(0).norm1), acts(0).rstd1);
  for (int64_t l = 0; l < n_layers; l++) {
    layer_to_mid(l, positions.data(), lora, attention);
    layer_mlp(l, lora);
    layer_down(l, lora);
    // The residual add goes with the norm that reads its sum: the next layer's, or the final one.
    const bool last = l + 1 == n_layers;
    const T* next_norm = last ? weights_.norm : weights_.layers[l + 1].pre_attention_norm;
    Mat<T> normed = last ? top(final_norm_) : top(acts(l + 1).norm1);
    T* rstd = last ? final_rstd_ : acts(l + 1).rstd1;
    ops::add_rms_norm<T>(cpu_, top(acts(l).mid), top(delta_), x(l + 1), norm_of(next_norm), normed, rstd);
  }
}

// norm1 -> qkv -> attention -> o -> mid, norm2
template <class T>
void Decoder<T>::layer_to_mid(int64_t l, const int32_t* positions, Adapters lora, const Attention& attention) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> qkv = top(layer.qkv);
  linear(l, Projection::qkv, lora, top(layer.norm1), qkv);
  if (w.query_norm)
    ops::head_norms<T>(cpu_, qkv, shape_, norm_of(w.query_norm), norm_of(w.key_norm), top(layer.head_raw), top(layer.head_rstd));
  rotate(l, qkv, positions, T(1));
  attention(l, qkv, top(layer.attn), top(layer.lse));
  const Mat<T> out = top(w.post_attention_norm ? layer.attn_out : delta_);
  linear(l, Projection::o, lora, top(layer.attn), out);
  if (w.post_attention_norm) ops::rms_norm<T>(cpu_, out, norm_of(w.post_attention_norm), top(delta_), layer.attn_out_rstd);
  ops::add_rms_norm<T>(cpu_, x(l), top(delta_), top(layer.mid), norm_of(w.pre_mlp_norm), top(layer.norm2), layer.rstd2);
}

// norm2 -> gate, up -> act
template <class T>
void Decoder<T>::layer_mlp(int64_t l, Adapters lora) {
  auto& layer = acts(l);
  linear(l, Projection::gate_up, lora, top(layer.norm2), top(layer.gate_up));
  ops::gated_activation<T>(cpu_, config_.activation, top(layer.gate_up), top(layer.act));
}

// act -> down -> delta_, what the layer adds to mid
template <class T>
void Decoder<T>::layer_down(int64_t l, Adapters lora) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> out = top(w.post_mlp_norm ? layer.mlp_out : delta_);
  linear(l, Projection::down, lora, top(layer.act), out);
  if (w.post_mlp_norm) ops::rms_norm<T>(cpu_, out, norm_of(w.post_mlp_norm), top(delta_), layer.mlp_out_rstd);
}

#define CONCORD_INSTANTIATE(T)                                                                                          \
  template Decoder<T>::Decoder(Cpu&, const ModelConfig&, WeightViews<const T>, const DecoderPlan&);                                 \
  template Arena::Parts Decoder<T>::memory_parts(const ModelConfig&, const DecoderPlan&);                               \
  template void Decoder<T>::forward(const PackedBatch&, const Lora<T>*);                                                \
  template void Decoder<T>::forward(std::span<const int32_t>, std::span<const int32_t>, Adapters, const Attention&); \
  template void Decoder<T>::attend(int64_t, const PackedBatch&, Mat<T>, Mat<T>, Mat<T>);                                \
  template void Decoder<T>::attend_cached(int64_t, Mat<const T>, Mat<const T>, std::span<const CachedSegment>, Mat<T>);  \
  template void Decoder<T>::layer_to_mid(int64_t, const int32_t*, Adapters, const Attention&);                    \
  template void Decoder<T>::layer_mlp(int64_t, Adapters);                                                         \
  template void Decoder<T>::layer_down(int64_t, Adapters);                                                        \
  template Mat<const T> Decoder<T>::adapter_input(int64_t, Projection, Mat<const T>);                             \
  template Dropout Decoder<T>::dropout_of(int64_t, Projection) const;                                             \
  template void Decoder<T>::rotate(int64_t, Mat<T>, const int32_t*, T);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord
