#include "model/decoder.h"

#include <algorithm>
#include <cmath>

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
Decoder<T>::Decoder(Cpu& cpu, const ModelConfig& config, const T* weights, const DecoderPlan& plan)
    : cpu_(cpu),
      config_(config),
      weights_(weight_views<const T>(config, weights)),
      plan_(plan),
      shape_(attention_shape(config)),
      eps_(static_cast<T>(config.rms_norm_eps)),
      attention_scale_(static_cast<T>(1 / std::sqrt(static_cast<double>(config.head_dim)))),
      rope_(rope_table<T>(config, plan.positions)) {
  plan_.threads = cpu.threads();
  lay_out();
  arena_.allocate();
  lay_out();
}

template <class T>
Arena::Parts Decoder<T>::memory_parts(const ModelConfig& config, const DecoderPlan& plan) {
  Cpu one(1);
  Decoder counting(one, config, nullptr, DecoderPlan{});
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
  if (plan_.backward) {
    d_ = arena_.take<T>("scratch", tokens, hidden);
    dact_ = arena_.take<T>("scratch", tokens, config_.intermediate_size);
    dqkv_ = arena_.take<T>("scratch", tokens, shape_.qkv_cols());
    dattn_ = arena_.take<T>("scratch", tokens, shape_.q_cols());
    dxa_ = arena_.take<T>("scratch", tokens, plan_.lora_ranks);
  }
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
  for (Mat<T>* xa : {&layer.xa_qkv, &layer.xa_o, &layer.xa_gate_up, &layer.xa_down}) *xa = take(plan_.lora_ranks);
}

template <class T>
void Decoder<T>::forward(const PackedBatch& batch, const Lora<T>* lora) {
  const LoraRows<T> all{0, batch.n_tokens(), lora};
  forward(batch.tokens, batch.positions, Adapters(&all, lora ? 1 : 0),
          [&](int64_t, Mat<T> qkv, Mat<T> attn, Mat<T> lse) { attend(batch, qkv, attn, lse); });
}

template <class T>
void Decoder<T>::attend(const PackedBatch& batch, Mat<T> qkv, Mat<T> attn, Mat<T> lse) {
  ops::attention<T>(cpu_, qkv, shape_, attention_scale_, batch.segments, batch.groups, attn, lse, attention_scratch_);
}

template <class T>
void Decoder<T>::forward(std::span<const int32_t> tokens, std::span<const int32_t> positions, Adapters lora,
                         const Attention& attention) {
  tokens_ = static_cast<int64_t>(tokens.size());
  const int64_t n_layers = config_.num_hidden_layers;
  ops::embedding<T>(cpu_, weights_.embed, tokens.data(), x(0));
  ops::rms_norm<T>(cpu_, x(0), weights_.layers[0].input_norm, eps_, top(acts(0).norm1), acts(0).rstd1);
  for (int64_t l = 0; l < n_layers; l++) {
    layer_to_mid(l, positions.data(), lora, attention);
    layer_mlp(l, lora);
    auto& layer = acts(l);
    ops::matmul_nt<T>(cpu_, T(1), top(layer.act), weights_.layers[l].down, T(0), top(delta_));
    adapt(lora, l, &Lora<T>::Layer::down, top(layer.act), layer.xa_down, top(delta_));
    // The residual add goes with the norm that reads its sum: the next layer's, or the final one.
    const bool last = l + 1 == n_layers;
    const T* next_norm = last ? weights_.norm : weights_.layers[l + 1].input_norm;
    Mat<T> normed = last ? top(final_norm_) : top(acts(l + 1).norm1);
    T* rstd = last ? final_rstd_ : acts(l + 1).rstd1;
    ops::add_rms_norm<T>(cpu_, top(layer.mid), top(delta_), x(l + 1), next_norm, eps_, normed, rstd);
  }
}

// What the adapters add to one fused layer's output y of x, each to its own rows.
template <class T>
void Decoder<T>::adapt(Adapters lora, int64_t l, LoraPart part, Mat<T> x, Mat<T> xa, Mat<T> y) {
  for (const LoraRows<T>& rows : lora) {
    const LoraLinear<T>& linear = rows.lora->layers[l].*part;
    const auto of = [&](Mat<T> m) { return m.row_range(rows.begin, rows.end); };
    lora_forward<T>(cpu_, linear, of(x), of(top_ranks(xa, linear)), of(y));
  }
}

// norm1 -> qkv -> attention -> o -> mid, norm2
template <class T>
void Decoder<T>::layer_to_mid(int64_t l, const int32_t* positions, Adapters lora, const Attention& attention) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  ops::matmul_nt<T>(cpu_, T(1), top(layer.norm1), w.qkv, T(0), top(layer.qkv));
  adapt(lora, l, &Lora<T>::Layer::qkv, top(layer.norm1), layer.xa_qkv, top(layer.qkv));
  ops::rope<T>(cpu_, top(layer.qkv), shape_, positions, Mat<const T>(rope_.data(), plan_.positions, config_.head_dim), T(1));
  attention(l, top(layer.qkv), top(layer.attn), top(layer.lse));
  ops::matmul_nt<T>(cpu_, T(1), top(layer.attn), w.o, T(0), top(delta_));
  adapt(lora, l, &Lora<T>::Layer::o, top(layer.attn), layer.xa_o, top(delta_));
  ops::add_rms_norm<T>(cpu_, x(l), top(delta_), top(layer.mid), w.post_norm, eps_, top(layer.norm2), layer.rstd2);
}

// norm2 -> gate, up -> act
template <class T>
void Decoder<T>::layer_mlp(int64_t l, Adapters lora) {
  auto& layer = acts(l);
  ops::matmul_nt<T>(cpu_, T(1), top(layer.norm2), weights_.layers[l].gate_up, T(0), top(layer.gate_up));
  adapt(lora, l, &Lora<T>::Layer::gate_up, top(layer.norm2), layer.xa_gate_up, top(layer.gate_up));
  ops::swiglu<T>(cpu_, top(layer.gate_up), top(layer.act));
}

template <class T>
void Decoder<T>::recompute_layer(int64_t l, const PackedBatch& batch, const Lora<T>* lora) {
  auto& layer = acts(l);
  ops::rms_norm<T>(cpu_, x(l), weights_.layers[l].input_norm, eps_, top(layer.norm1), layer.rstd1);
  const LoraRows<T> all{0, tokens_, lora};
  const Adapters adapters(&all, lora ? 1 : 0);
  layer_to_mid(l, batch.positions.data(), adapters,
               [&](int64_t, Mat<T> qkv, Mat<T> attn, Mat<T> lse) { attend(batch, qkv, attn, lse); });
  layer_mlp(l, adapters);
  if (lora && !lora->layers[l].down.parts.empty()) {
    ops::matmul_nt<T>(cpu_, T(1), top(layer.act), lora->layers[l].down.a, T(0), top_ranks(layer.xa_down, lora->layers[l].down));
  }
}

template <class T>
void Decoder<T>::backward(const PackedBatch& batch, const Lora<T>* lora, WeightViews<T>* grads) {
  // delta_ holds the gradient of the final norm's output, from the head.
  const int64_t n_layers = config_.num_hidden_layers;
  ops::fill<T>(cpu_, T(0), top(d_));
  ops::rms_norm_backward<T>(cpu_, x(n_layers), weights_.norm, final_rstd_, top(delta_), top(d_), grads ? grads->norm : nullptr);
  for (int64_t l = n_layers - 1; l >= 0; l--) {
    if (plan_.recompute) recompute_layer(l, batch, lora);
    backward_mlp(l, lora, grads);
    backward_attention(l, batch, lora, grads);
  }
  if (grads) ops::embedding_backward<T>(cpu_, top(d_), batch.tokens.data(), grads->embed);
}

// d_ is the gradient of the layer's output and becomes that of `mid`.
template <class T>
void Decoder<T>::backward_mlp(int64_t l, const Lora<T>* lora, WeightViews<T>* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(d_), dact = top(dact_), dnorm = top(delta_), gate_up = top(layer.gate_up);
  ops::matmul_nn<T>(cpu_, T(1), d, w.down, T(0), dact);
  if (grads) ops::matmul_tn<T>(cpu_, T(1), d, top(layer.act), T(1), grads->layers[l].down);
  if (lora) {
    const auto& down = lora->layers[l].down;
    lora_backward<T>(cpu_, down, top(layer.act), top_ranks(layer.xa_down, down), d, top_ranks(dxa_, down), dact);
  }
  ops::swiglu_backward<T>(cpu_, dact, gate_up);
  ops::matmul_nn<T>(cpu_, T(1), gate_up, w.gate_up, T(0), dnorm);
  if (grads) ops::matmul_tn<T>(cpu_, T(1), gate_up, top(layer.norm2), T(1), grads->layers[l].gate_up);
  if (lora) {
    const auto& part = lora->layers[l].gate_up;
    lora_backward<T>(cpu_, part, top(layer.norm2), top_ranks(layer.xa_gate_up, part), gate_up, top_ranks(dxa_, part), dnorm);
  }
  ops::rms_norm_backward<T>(cpu_, top(layer.mid), w.post_norm, layer.rstd2, dnorm, d, grads ? grads->layers[l].post_norm : nullptr);
}

// d_ is the gradient of `mid` and becomes that of the layer's input. Nothing below the first layer of a frozen base
// learns, so there the last product is left out.
template <class T>
void Decoder<T>::backward_attention(int64_t l, const PackedBatch& batch, const Lora<T>* lora, WeightViews<T>* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(d_), dattn = top(dattn_), dqkv = top(dqkv_);
  ops::matmul_nn<T>(cpu_, T(1), d, w.o, T(0), dattn);
  if (grads) ops::matmul_tn<T>(cpu_, T(1), d, top(layer.attn), T(1), grads->layers[l].o);
  if (lora) {
    const auto& o = lora->layers[l].o;
    lora_backward<T>(cpu_, o, top(layer.attn), top_ranks(layer.xa_o, o), d, top_ranks(dxa_, o), dattn);
  }
  ops::attention_backward<T>(cpu_, top(layer.qkv), shape_, attention_scale_, batch.segments, batch.groups, top(layer.attn),
                             top(layer.lse), dattn, dqkv, attention_scratch_);
  ops::rope<T>(cpu_, dqkv, shape_, batch.positions.data(), Mat<const T>(rope_.data(), plan_.positions, config_.head_dim), T(-1));

  const bool input_learns = l > 0 || grads;
  const Mat<T> dnorm = input_learns ? top(delta_) : Mat<T>();
  if (input_learns) ops::matmul_nn<T>(cpu_, T(1), dqkv, w.qkv, T(0), dnorm);
  if (grads) ops::matmul_tn<T>(cpu_, T(1), dqkv, top(layer.norm1), T(1), grads->layers[l].qkv);
  if (lora) {
    const auto& qkv = lora->layers[l].qkv;
    lora_backward<T>(cpu_, qkv, top(layer.norm1), top_ranks(layer.xa_qkv, qkv), dqkv, top_ranks(dxa_, qkv), dnorm);
  }
  if (input_learns) {
    ops::rms_norm_backward<T>(cpu_, x(l), w.input_norm, layer.rstd1, dnorm, d, grads ? grads->layers[l].input_norm : nullptr);
  }
}

template class Decoder<float>;
template class Decoder<double>;

}  // namespace concord
