// The backward pass through the layers, in the reverse order of decoder.cpp.
#include "model/decoder.h"

#include "lora/dora.h"

namespace concord {

template <class Device, class T>
void Decoder<Device, T>::linear_backward(int64_t l, Projection projection, const Lora<Device, T>* lora, Mat<const T> x, Mat<const T> dy, Mat<T> dx,
                                 Layer* grads) {
  const int p = static_cast<int>(projection);
  const LoraLinear<T>* adapter = lora && !lora->layers[l].of(projection).parts.empty() ? &lora->layers[l].of(projection) : nullptr;
  const Mat<T> dxa = adapter ? top_ranks(b_.dxa, *adapter) : Mat<T>();
  if (adapter && adapter->has_gains()) {
    const Mat<T> draw = top(b_.draw).col_range(0, dy.cols);
    dora_backward<Device, T>(device_, *adapter, dy, top(acts(l).raw[p]), draw);
    dy = draw;
  }
  if (adapter) lora_backward<Device, T>(device_, *adapter, adapter_input(l, projection, x), top_ranks(acts(l).xa[p], *adapter), dy, dxa, drops() ? Mat<T>() : dx);
  if (dx)
    ops::matmul_nn<T>(device_, 1, dy, dense_weight(device_, weights_.layers[l].of(projection), b_.dense), adapter && !drops() ? Stat<T>(1) : Stat<T>(0), dx);
  if (grads) {
    const Linear<Stat<T>>& to = grads->of(projection);
    ops::matmul_tn<T>(device_, 1, dy, x, 1, to.weight);
    if (to.bias) ops::add_row_sums<T>(device_, dy, to.bias);
  }
  if (!adapter || !drops() || !dx) return;
  const Mat<T> through = top(b_.dropped).col_range(0, x.cols);
  ops::matmul_nn<T>(device_, 1, dxa, adapter->a, 0, through);
  ops::dropout<T>(device_, dropout_of(l, projection), through, batch_.token_ids, through);
  ops::add<T>(device_, through, dx);
}

template <class Device, class T>
Mat<const T> Decoder<Device, T>::branch_gradient(Mat<const T> d, Mat<const T> branch, const T* norm_weight, const Stat<T>* rstd, Stat<T>* norm_grad) {
  if (!norm_weight) return d;
  ops::fill<T>(device_, 0, top(b_.delta));
  ops::rms_norm_backward<T>(device_, branch, norm_of(norm_weight), rstd, d, top(b_.delta), norm_grad);
  return top(b_.delta);
}

template <class Device, class T>
void Decoder<Device, T>::recompute_layer(int64_t l, const Lora<Device, T>* lora) {
  auto& layer = acts(l);
  ops::rms_norm<T>(device_, x(l), norm_of(weights_.layers[l].pre_attention_norm), top(layer.norm1), layer.rstd1);
  const LoraRows<Device, T> all{0, tokens_, lora};
  const Adapters adapters(&all, lora ? 1 : 0);
  layer_to_mid(l, adapters,
               [&](int64_t at, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse) { attend(at, qkv, attn, lse); });
  layer_mlp(l, adapters);
  if (config_.post_norms || (lora && lora->layers[l].down.has_gains())) {
    layer_down(l, adapters);
  } else if (lora && !lora->layers[l].down.parts.empty()) {  // of the last product only what the adapter's gradient reads
    const LoraLinear<T>& down = lora->layers[l].down;
    ops::matmul_nt<T>(device_, 1, adapter_input(l, Projection::down, top(layer.act)), down.a, 0, top_ranks(layer.xa[static_cast<int>(Projection::down)], down));
  }
}

template <class Device, class T>
void Decoder<Device, T>::backward(const Lora<Device, T>* lora, Grads* grads) {
  // b_.delta holds the gradient of the final norm's output, from the head.
  const int64_t n_layers = config_.num_hidden_layers;
  ops::fill<T>(device_, 0, top(b_.d));
  ops::rms_norm_backward<T>(device_, x(n_layers), norm_of(weights_.norm), b_.final_rstd, top(b_.delta), top(b_.d), grads ? grads->norm : nullptr);
  for (int64_t l = n_layers - 1; l >= 0; l--) {
    if (l < plan_.recompute_layers) recompute_layer(l, lora);
    Layer* layer_grads = grads ? &grads->layers[l] : nullptr;
    backward_mlp(l, lora, layer_grads);
    backward_attention(l, lora, layer_grads);
  }
  if (grads) ops::embedding_backward<T>(device_, top(b_.d), batch_.tokens, static_cast<Stat<T>>(config_.embedding_scale), grads->embed);
}

// b_.d is the gradient of the layer's output and becomes that of `mid`.
template <class Device, class T>
void Decoder<Device, T>::backward_mlp(int64_t l, const Lora<Device, T>* lora, Layer* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(b_.d), dact = top(b_.dact), dnorm = top(b_.delta), gate_up = top(layer.gate_up);
  const Mat<const T> dout = branch_gradient(d, top(layer.mlp_out), w.post_mlp_norm, layer.mlp_out_rstd, grads ? grads->post_mlp_norm : nullptr);
  linear_backward(l, Projection::down, lora, top(layer.act), dout, dact, grads);
  ops::gated_activation_backward<T>(device_, config_.activation, dact, gate_up);
  linear_backward(l, Projection::gate_up, lora, top(layer.norm2), gate_up, dnorm, grads);
  ops::rms_norm_backward<T>(device_, top(layer.mid), norm_of(w.pre_mlp_norm), layer.rstd2, dnorm, d, grads ? grads->pre_mlp_norm : nullptr);
}

// b_.d is the gradient of `mid` and becomes that of the layer's input. Nothing below the first layer of a frozen base
// learns, so there the last product is left out.
template <class Device, class T>
void Decoder<Device, T>::backward_attention(int64_t l, const Lora<Device, T>* lora, Layer* grads) {
  auto& layer = acts(l);
  const auto& w = weights_.layers[l];
  const Mat<T> d = top(b_.d), dattn = top(b_.dattn), dqkv = top(b_.dqkv);
  const Mat<const T> dout =
      branch_gradient(d, top(layer.attn_out), w.post_attention_norm, layer.attn_out_rstd, grads ? grads->post_attention_norm : nullptr);
  linear_backward(l, Projection::o, lora, top(layer.attn), dout, dattn, grads);
  ops::attention_backward<T>(device_, top(layer.qkv), shape_, attention_rule(l), batch_.attention, top(layer.attn),
                             top(layer.lse), dattn, dqkv, b_.attention_scratch);
  rotate(l, dqkv, -1);
  if (w.query_norm)
    ops::head_norms_backward<T>(device_, top(layer.head_raw), shape_, norm_of(w.query_norm), norm_of(w.key_norm), top(layer.head_rstd), dqkv,
                                grads ? grads->query_norm : nullptr, grads ? grads->key_norm : nullptr);
  const bool input_learns = l > 0 || grads;
  const Mat<T> dnorm = input_learns ? top(b_.delta) : Mat<T>();
  linear_backward(l, Projection::qkv, lora, top(layer.norm1), dqkv, dnorm, grads);
  if (input_learns)
    ops::rms_norm_backward<T>(device_, x(l), norm_of(w.pre_attention_norm), layer.rstd1, dnorm, d, grads ? grads->pre_attention_norm : nullptr);
}

#define CONCORD_INSTANTIATE(Device, T) template void Decoder<Device, T>::backward(const Lora<Device, T>*, Grads*);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
