// The decoder: forward and backward of a whole packed micro-batch, written out by hand.
// Llama's block: x += o(attention(rope(qkv(norm(x))))); x += down(silu(gate(norm(x))) * up(norm(x))).
// What other families add to it, ModelConfig says: biases, norms of heads and of what is added, windows, caps, scales.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "lora/lora.h"
#include "model/arena.h"
#include "model/batch.h"
#include "model/weights.h"

namespace concord {

// What the buffers must hold. Decided once, before the first step.
struct DecoderPlan {
  int64_t tokens_max = 0;   // of a micro-batch
  int64_t keys_max = 0;     // prompt + completion, the longest
  int64_t positions = 0;    // that the rope tables cover
  int64_t lora_ranks = 0;   // largest sum of ranks of a fused layer, 0 without an adapter
  bool dora = false;        // of an adapter that is trained: its gradients read each product before it is scaled
  double lora_dropout = 0;  // above 0: buffers for it
  bool nf4 = false;         // linear layers are dequantized one at a time
  bool backward = false;
  bool recompute = false;         // keep each layer's input only, run its forward again in the backward pass
  bool head_unit_gradients = false;  // buffers for head_unit_gradients()
  int threads = 1;
};

// Buffers of one layer's forward that its backward reads. T tokens. Empty where the model has no such step.
template <class T>
struct LayerActivations {
  Mat<T> norm1, qkv, attn, lse, mid, norm2, gate_up, act;
  T *rstd1 = nullptr, *rstd2 = nullptr;
  Mat<T> head_raw, head_rstd;            // queries and keys before their norms
  Mat<T> attn_out, mlp_out;              // what is added, before its norm
  T *attn_out_rstd = nullptr, *mlp_out_rstd = nullptr;
  Mat<T> xa[4];   // by Projection: x A^T of the adapter
  Mat<T> raw[4];  // by Projection: DoRA's W x + s B A x
};

template <class T>
class Decoder {
 public:
  // Attention of one layer over already rotated qkv; fills attn and lse.
  using Attention = std::function<void(int64_t layer, Mat<T> qkv, Mat<T> attn, Mat<T> lse)>;
  using Adapters = std::span<const LoraRows<T>>;  // the ranges are disjoint

  // What the weights view outlives the decoder. Throws std::bad_alloc.
  Decoder(Cpu& cpu, const ModelConfig& config, WeightViews<const T> weights, const DecoderPlan& plan);
  // `weights` is a buffer of weight_layout(config).
  Decoder(Cpu& cpu, const ModelConfig& config, const T* weights, const DecoderPlan& plan)
      : Decoder(cpu, config, weight_views<const T>(config, weights), plan) {}

  // Bytes by part of the buffers this plan would take; allocates nothing.
  static Arena::Parts memory_parts(const ModelConfig& config, const DecoderPlan& plan);

  // Runs all layers and the final norm. `lora` null: the base alone.
  void forward(const PackedBatch& batch, const Lora<T>* lora);
  // The same for tokens that bring their own attention (a cache), and each its own adapter.
  void forward(std::span<const int32_t> tokens, std::span<const int32_t> positions, Adapters lora, const Attention& attention);

  // Until the next call, adapters see their inputs through dropout at the plan's rate, drawn anew for each (seed, step).
  // Modules that read the same input share its mask. Nothing: no dropout, as everywhere but in training steps.
  struct DropoutStep {
    uint64_t seed, step;
  };
  void set_dropout(std::optional<DropoutStep> step) { dropout_step_ = step; }

  // logp[r] of every row of the batch, after forward().
  void head_logps(const PackedBatch& batch, T* logp);
  // logp and the start of the backward pass with d loss / d logp[r] = coef[r]. Adds the head's gradient where `grads`.
  void head_gradients(const PackedBatch& batch, const T* coef, T* logp, WeightViews<T>* grads);
  // The two halves of head_gradients for a frozen head whose coef depends on logp (pairs): one logits product, not two.
  void head_unit_gradients(const PackedBatch& batch, T* logp);
  void head_apply_coef(const PackedBatch& batch, const T* coef);
  // Through the layers, after one of the above. Adds to `grads` (null: frozen weights) and to the trainable adapter's.
  void backward(const PackedBatch& batch, const Lora<T>* lora, WeightViews<T>* grads);

  // Final hidden states after the norm, [tokens, H]: input of the head.
  Mat<T> hidden() { return final_norm_.row_range(0, tokens_); }
  // logits[rows, V] = hidden rows times head^T.
  void logits(Mat<const T> hidden, Mat<T> out);
  // The attention forward() uses, for callers that want to see qkv as well.
  void attend(int64_t layer, const PackedBatch& batch, Mat<T> qkv, Mat<T> attn, Mat<T> lse);
  // The same for single tokens, each over the rows of a cache that its sequence has written.
  void attend_cached(int64_t layer, Mat<const T> qkv, Mat<const T> cache, std::span<const CachedSegment> segments, Mat<T> attn);
  AttentionRule attention_rule(int64_t layer) const {
    return {config_.attention_scale, config_.attention_softcap, config_.layers[layer].window};
  }

  int64_t memory_bytes() const { return arena_.bytes(); }
  const Arena::Parts& parts() const { return arena_.parts(); }

 private:
  using Layer = typename WeightViews<T>::Layer;

  void lay_out();
  void lay_out_layer(LayerActivations<T>& layer);
  void layer_to_mid(int64_t l, const int32_t* positions, Adapters lora, const Attention& attention);
  void layer_mlp(int64_t l, Adapters lora);
  void layer_down(int64_t l, Adapters lora);
  void recompute_layer(int64_t l, const PackedBatch& batch, const Lora<T>* lora);
  void backward_mlp(int64_t l, const Lora<T>* lora, Layer* grads);
  void backward_attention(int64_t l, const PackedBatch& batch, const Lora<T>* lora, Layer* grads);
  void rotate(int64_t l, Mat<T> qkv, const int32_t* positions, T direction);
  // y = x W^T + bias, and what the adapters add, each to its own rows.
  void linear(int64_t l, Projection projection, Adapters lora, Mat<T> x, Mat<T> y);
  // dx = the gradient of x, unless dx is empty; adds to `grads` (null: frozen) and to the adapter's.
  void linear_backward(int64_t l, Projection projection, const Lora<T>* lora, Mat<const T> x, Mat<const T> dy, Mat<T> dx, Layer* grads);
  bool drops() const { return dropout_step_ && plan_.lora_dropout > 0; }
  Dropout dropout_of(int64_t l, Projection projection) const;
  // What the adapter reads: x, or x through dropout, in dropped_.
  Mat<const T> adapter_input(int64_t l, Projection projection, Mat<const T> x);
  int64_t columns(Projection projection) const;  // of its output
  // Of what a branch added, given that of the sum: itself, or through the branch's norm into delta_.
  Mat<const T> branch_gradient(Mat<const T> d, Mat<const T> branch, const T* norm_weight, const T* rstd, T* norm_grad);
  template <class F>
  void for_head_chunks(const PackedBatch& batch, F&& f);

  // The rows in use of a buffer; with its leading columns for the ranks of one fused layer.
  Mat<T> top(Mat<T> m) const { return m.row_range(0, tokens_); }
  Mat<T> top_ranks(Mat<T> m, const LoraLinear<T>& lora) const { return top(m).col_range(0, lora.ranks()); }
  RmsNorm<T> norm_of(const T* weight) const { return {weight, static_cast<T>(config_.norm_offset), static_cast<T>(config_.rms_norm_eps)}; }
  LayerActivations<T>& acts(int64_t l) { return layers_[plan_.backward && !plan_.recompute ? l : 0]; }
  Mat<T> x(int64_t l) const { return top(x_[plan_.backward ? l : 0]); }

  Cpu& cpu_;
  ModelConfig config_;
  WeightViews<const T> weights_;
  DecoderPlan plan_;
  AttentionShape shape_;
  int64_t tokens_ = 0;
  const uint64_t* token_ids_ = nullptr;  // of the batch in hand
  std::optional<DropoutStep> dropout_step_;
  int64_t head_chunk_rows_ = 0;

  Arena arena_;
  std::vector<Mat<T>> x_;  // [layers + 1] inputs of the layers and the last output
  std::vector<LayerActivations<T>> layers_;
  std::vector<Mat<T>> ropes_;  // a table for each of config_.ropes
  Mat<T> final_norm_;
  T* final_rstd_ = nullptr;
  Mat<T> delta_;           // [T, H] what a half layer adds; in the backward pass gradients of a norm's output
  Mat<T> attention_scratch_;
  Mat<T> head_rows_, logits_, unit_;  // [C, H], [C, V], [rows, H]
  Mat<T> d_, dact_, dqkv_, dattn_, dxa_;
  Mat<T> draw_;     // [T, widest output]: gradient of a DoRA product before it is scaled
  Mat<T> dropped_;  // [T, widest input]
  T* dense_ = nullptr;  // one linear layer, dequantized
};

}  // namespace concord
