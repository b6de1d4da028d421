// The backward pass through the layers, in the reverse order of decoder.cpp.
#include "model/decoder.h"

#include "lora/dora.h"

namespace concord {

template <class T>
void Decoder<T>::linear_backward(int64_t l, Projection projection, const Lora<T>* lora, Mat<const T> x, Mat<const T> dy, Mat<T> dx,
                                 Layer* grads) {
  const int p = static_cast<int>(projection);
  const LoraLinear<T>* adapter = lora && !lora->layers[l].of(projection).parts.empty() ? &lora->layers[l].of(projection) : nullptr;
  if (adapter && adapter->has_gains()) {
    const Mat<T> draw = top(draw_).col_range(0, dy.cols);
    dora_backward<T>(cpu_, *adapter, dy, top(acts(l).raw[p]), draw);
    dy = draw;
  }
  if (dx) ops::matmul_nn<T>(cpu_, T(1), dy, dense_weight<T>(cpu_, weights_.layers[l].of(projection), dense_), T(0), dx);
  if (grads) {
    const Linear<T>& to = grads->of(projection);
    ops::matmul_tn<T>(cpu_, T(1), dy, x, T(1), to.weight);
    if (to.bias) ops::add_row_sums<T>(cpu_, dy, to.bias);
  }
  if (!adapter) return;
  const Mat<T> dxa = top_ranks(dxa_, *adapter);
  lora_backward<T>(cpu_, *adapter, adapter_input(l, projection, x), top_ranks(acts(l).xa[p], *adapter), dy, dxa, drops() ? Mat<T>() : dx);
  if (!drops() || !dx) return;
  const Mat<T> through = top(dropped_).col_range(0, x.cols);
  ops::matmul_nn<T>(cpu_, T(1), dxa, adapter->a, T(0), through);
  ops::dropout<T>(cpu_, dropout_of(l, projection), through, token_ids_, through);
  ops::add<T>(cpu_, through, dx);
}

template <class T>
Mat<const T> Decoder<T>::branch_gradient(Mat<const T> d, Mat<const T> branch, const T* norm_weight, const T* rstd, T* norm_grad) {
  if (!norm_weight) return d;
  ops::fill<T>(cpu_, T(0), top(delta_));
  ops::rms_norm_backward<T>(cpu_, branch, norm_of(norm_weight), rstd, d, top(delta_), norm_grad);
  return top(delta_);
}

template <class T>
void Decoder<T>::recompute_layer(int64_t l, const PackedBatch& batch, const Lora<T>* lora) {
  auto& layer = acts(l);
  ops::rms_norm<T>(cpu_, x(l), norm_of(weights_.layers[l].pre_attention_norm), top(layer.norm1), layer.rstd1);
  const LoraRows<T> all{0, tokens_, lora};
  const Adapters adapters(&all, lora ? 1 : 0);
  layer_to_mid(l, batch.positions.data(), adapters,
               [&](int64_t at, Mat<T> qkv, Mat<T> attn, Mat<T> lse) { attend(at, batch, qkv, attn, lse); });
  layer_mlp(l, adapters);
  if (config_.post_norms || (lora && lora->layers[l].down.has_gains())) {
    layer_down(l, adapters);
  } else if (lora && !lora->layers[l].down.parts.empty()) {  // of the last product only what the adapter's gradient reads
    const LoraLinear<T>& down = lora->layers[l].down;
    ops::matmul_nt<T>(cpu_, T(1), adapter_input(l, Projection::down, top(layer.act)), down.a, T(0), top_ranks(layer.xa[static_cast<int>(Projection::down)], down));
  }
}

template <class T>
void Decoder<T>::backward(const PackedBatch& batch, const Lora<T>* lora, WeightViews<T>* grads) {
  // delta_ holds the gradient of the final norm's output, from the head.
  const int64_t n_layers = config_.num_hidden_layers;
  ops::fill<T>(cpu_, T(0), top(d_));
  ops::rms_norm_backward<T>(cpu_, x(n_layers), norm_of(weights_.norm), final_rstd_, top(delta_), top(d_), grads ? grads->norm : nullptr);
  for (int64_t l = n_layers - 1; l >= 0; l--) {
    if (plan_.recompute) recompute_layer(l, batch, lora);
    Layer* layer_grads = grads ? &grads->layers[l] : nullptr;
    backward_mlp(l, lora, layer_grads);
    backward_attention(l, batch, lora, layer_grads);
  }
  if (grads) ops::embedding_backward<T>(cpu_, top(d_), batch.tokens.data(), static_cast<T>(config_.embedding_scale), grads->embed);
}

// d_ is the gradient of the layer's output and becomes that of `mid`.
template <class T>
void Decoder<T>::backward_mlp(int64_t l, const Lora<T>* lora, Layer* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(d_), dact = top(dact_), dnorm = top(delta_), gate_up = top(layer.gate_up);
  const Mat<const T> dout = branch_gradient(d, top(layer.mlp_out), w.post_mlp_norm, layer.mlp_out_rstd, grads ? grads->post_mlp_norm : nullptr);
  linear_backward(l, Projection::down, lora, top(layer.act), dout, dact, grads);
  ops::gated_activation_backward<T>(cpu_, config_.activation, dact, gate_up);
  linear_backward(l, Projection::gate_up, lora, top(layer.norm2), gate_up, dnorm, grads);
  ops::rms_norm_backward<T>(cpu_, top(layer.mid), norm_of(w.pre_mlp_norm), layer.rstd2, dnorm, d, grads ? grads->pre_mlp_norm : nullptr);
}

// d_ is the gradient of `mid` and becomes that of the layer's input. Nothing below the first layer of a frozen base
// learns, so there the last product is left out.
template <class T>
void Decoder<T>::backward_attention(int64_t l, const PackedBatch& batch, const Lora<T>* lora, Layer* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(d_), dattn = top(dattn_), dqkv = top(dqkv_);
  const Mat<const T> dout =
      branch_gradient(d, top(layer.attn_out), w.post_attention_norm, layer.attn_out_rstd, grads ? grads->post_attention_norm : nullptr);
  linear_backward(l, Projection::o, lora, top(layer.attn), dout, dattn, grads);
  ops::attention_backward<T>(cpu_, top(layer.qkv), shape_, attention_rule(l), batch.segments, batch.groups, top(layer.attn),
                             top(layer.lse), dattn, dqkv, attention_scratch_);
  rotate(l, dqkv, batch.positions.data(), T(-1));
  if (w.query_norm)
    ops::head_norms_backward<T>(cpu_, top(layer.head_raw), shape_, norm_of(w.query_norm), norm_of(w.key_norm), top(layer.head_rstd), dqkv,
                                grads ? grads->query_norm : nullptr, grads ? grads->key_norm : nullptr);
  const bool input_learns = l > 0 || grads;
  const Mat<T> dnorm = input_learns ? top(delta_) : Mat<T>();
  linear_backward(l, Projection::qkv, lora, top(layer.norm1), dqkv, dnorm, grads);
  if (input_learns)
    ops::rms_norm_backward<T>(cpu_, x(l), norm_of(w.pre_attention_norm), layer.rstd1, dnorm, d, grads ? grads->pre_attention_norm : nullptr);
}

template void Decoder<float>::backward(const PackedBatch&, const Lora<float>*, WeightViews<float>*);
template void Decoder<double>::backward(const PackedBatch&, const Lora<double>*, WeightViews<double>*);

}  // namespace concord
