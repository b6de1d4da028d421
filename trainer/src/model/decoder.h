// The decoder: forward and backward of a whole packed micro-batch, written out by hand.
// Llama's block: x += o(attention(rope(qkv(norm(x))))); x += down(silu(gate(norm(x))) * up(norm(x))).
// What other families add to it, ModelConfig says: biases, norms of heads and of what is added, windows, caps, scales.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "lora/lora.h"
#include "model/batch.h"
#include "model/decoder_buffers.h"
#include "model/kv_cache.h"
#include "model/weights.h"

namespace concord {

template <class Device, class T>
class Decoder {
 public:
  using Adapters = std::span<const LoraRows<Device, T>>;  // the ranges are disjoint

  // What the weights view outlives the decoder. Throws std::bad_alloc.
  Decoder(Device& device, const ModelConfig& config, WeightViews<const T> weights, const DecoderPlan& plan);
  // `weights` is a buffer of weight_layout(config).
  Decoder(Device& device, const ModelConfig& config, const T* weights, const DecoderPlan& plan)
      : Decoder(device, config, weight_views<const T>(config, weights), plan) {}

  // Runs all layers and the final norm. `lora` null: the base alone. What follows is of this batch, which outlives it.
  void forward(const PackedBatch& batch, const Lora<Device, T>* lora);
  // The same, each row with its own adapter, and the keys and values of every layer go to a cache, whose place() is of this batch.
  void forward(const PackedBatch& batch, Adapters lora, KvCache<Device, T>& cache);
  // Single tokens, each over what its sequence has in the cache, itself included.
  void forward(std::span<const int32_t> tokens, std::span<const int32_t> positions, Adapters lora, KvCache<Device, T>& cache);

  // Until the next call, adapters see their inputs through dropout at the plan's rate, drawn anew for each (seed, step).
  // Modules that read the same input share its mask. Nothing: no dropout, as everywhere but in training steps.
  struct DropoutStep {
    uint64_t seed, step;
  };
  void set_dropout(std::optional<DropoutStep> step) { dropout_step_ = step; }

  using Grads = WeightViews<Stat<T>>;
  // logp[r] of every row of the batch. Here and below logp and coef are the host's, [R].
  void head_logps(Stat<T>* logp);
  // logp and the start of the backward pass with d loss / d logp[r] = coef[r]. Adds the head's gradient where `grads`.
  void head_gradients(const Stat<T>* coef, Stat<T>* logp, Grads* grads);
  // The two halves of head_gradients for a frozen head whose coef depends on logp (pairs): one logits product, not two.
  void head_unit_gradients(Stat<T>* logp);
  void head_apply_coef(const Stat<T>* coef);
  // Through the layers, after one of the above. Adds to `grads` (null: frozen weights) and to the trainable adapter's.
  void backward(const Lora<Device, T>* lora, Grads* grads);

  // Final hidden states after the norm, [tokens, H]: input of the head.
  Mat<T> hidden() { return top(b_.final_norm); }
  // Logits after these rows of the pass, [rows, V] in the device's memory until the next call. At most head_rows_max() rows.
  Mat<Stat<T>> logits_after(std::span<const int32_t> rows);
  int64_t head_rows_max() const { return b_.head_chunk; }

  int64_t memory_bytes() const { return arena_.bytes(); }
  const MemoryParts& parts() const { return arena_.parts(); }

 private:
  using Layer = typename Grads::Layer;
  // The batch in hand, where the device reads it.
  struct Placed {
    int64_t rows = 0;  // R
    const int32_t *positions = nullptr, *head_rows = nullptr, *targets = nullptr, *tokens = nullptr;
    const uint64_t* token_ids = nullptr;
    AttentionView attention;
  };

  // Where the device reads them.
  void place(std::span<const int32_t> tokens, std::span<const int32_t> positions);
  void place(const PackedBatch& batch);
  // Attention of one layer over already rotated qkv; fills attn and, where there is a backward pass, lse.
  using Attention = std::function<void(int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse)>;
  void run_layers(Adapters lora, const Attention& attention);
  void attend(int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<Stat<T>> lse);
  AttentionRule attention_rule(int64_t layer) const {
    return {config_.attention_scale, config_.attention_softcap, config_.layers[layer].window};
  }
  // logits[rows, V] = hidden rows times head^T.
  void logits(Mat<const T> hidden, Mat<Stat<T>> out);
  void layer_to_mid(int64_t l, Adapters lora, const Attention& attention);
  void layer_mlp(int64_t l, Adapters lora);
  void layer_down(int64_t l, Adapters lora);
  void recompute_layer(int64_t l, const Lora<Device, T>* lora);
  void backward_mlp(int64_t l, const Lora<Device, T>* lora, Layer* grads);
  void backward_attention(int64_t l, const Lora<Device, T>* lora, Layer* grads);
  void rotate(int64_t l, Mat<T> qkv, Stat<T> direction);
  // y = x W^T + bias, and what the adapters add, each to its own rows.
  void linear(int64_t l, Projection projection, Adapters lora, Mat<T> x, Mat<T> y);
  // dx = the gradient of x, unless dx is empty; adds to `grads` (null: frozen) and to the adapter's.
  void linear_backward(int64_t l, Projection projection, const Lora<Device, T>* lora, Mat<const T> x, Mat<const T> dy, Mat<T> dx, Layer* grads);
  bool drops() const { return dropout_step_ && plan_.lora_dropout > 0; }
  Dropout dropout_of(int64_t l, Projection projection) const;
  // What the adapter reads: x, or x through dropout, in `dropped`.
  Mat<const T> adapter_input(int64_t l, Projection projection, Mat<const T> x);
  // Of what a branch added, given that of the sum: itself, or through the branch's norm into `delta`.
  Mat<const T> branch_gradient(Mat<const T> d, Mat<const T> branch, const T* norm_weight, const Stat<T>* rstd, Stat<T>* norm_grad);
  template <class F>
  void for_head_chunks(F&& f);

  // The rows in use of a buffer; with its leading columns for the ranks of one fused layer.
  template <class V>
  Mat<V> top(Mat<V> m) const {
    return m.row_range(0, tokens_);
  }
  Mat<T> top_ranks(Mat<T> m, const LoraLinear<T>& lora) const { return top(m).col_range(0, lora.ranks()); }
  RmsNorm<T> norm_of(const T* weight) const {
    return {weight, static_cast<Stat<T>>(config_.norm_offset), static_cast<Stat<T>>(config_.rms_norm_eps)};
  }
  LayerActivations<T>& acts(int64_t l) { return b_.layers[std::max<int64_t>(0, l + std::ssize(b_.layers) - config_.num_hidden_layers)]; }
  Mat<T> x(int64_t l) const { return top(b_.x[plan_.backward ? l : 0]); }
  Stat<T> final_softcap() const { return static_cast<Stat<T>>(config_.final_softcap); }

  Device& device_;
  ModelConfig config_;
  WeightViews<const T> weights_;
  DecoderPlan plan_;
  AttentionShape shape_;
  Arena<Device> arena_;
  DecoderBuffers<Device, T> b_;
  int64_t tokens_ = 0;
  Placed batch_;
  std::optional<DropoutStep> dropout_step_;
  typename Device::Graphs graphs_;  // of passes of single tokens
};

}  // namespace concord
