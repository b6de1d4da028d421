// Every buffer of a decoder, laid out in one allocation. The same code counts them, which is the memory plan.
// defines: DecoderPlan, LayerActivations, DecoderBuffers, decoder_memory
#pragma once

#include <vector>

#include "io/model_config.h"
#include "model/arena.h"
#include "ops/ops.h"

namespace concord {

// What the buffers must hold. Decided once, before the first step.
struct DecoderPlan {
  int64_t tokens_max = 0;   // of a micro-batch
  int64_t keys_max = 0;     // prompt + completion, the longest
  int64_t positions = 0;    // that the rope tables cover
  int64_t lora_ranks = 0;   // largest sum of ranks of a fused layer, 0 without an adapter
  bool dora = false;        // of an adapter that is trained: its gradients read each product before it is scaled
  double lora_dropout = 0;  // above 0: buffers for it
  bool quantized = false;   // linear layers are dequantized one at a time
  bool backward = false;
  // So many of the first layers keep their input only and run their forward again in the backward pass: 0 .. layers - 1. They and the
  // layer after them share one set of activations. That layer is the last to write to it, so its own are still there when the backward
  // pass comes to it, and the set that all share costs one rerun less than there are layers. Of the last layers the same would hold;
  // with the first, a pass that nothing follows, whose layers all share one set, is no other case.
  int64_t recompute_layers = 0;
  bool head_unit_gradients = false;  // buffers for head_unit_gradients()
  int threads = 1;                // of the CPU, each with scratch of its own
};

// Buffers of one layer's forward that its backward reads. T tokens. Empty where the model has no such step.
template <class T>
struct LayerActivations {
  Mat<T> norm1, qkv, attn, mid, norm2, gate_up, act;
  Mat<Stat<T>> lse;
  Stat<T> *rstd1 = nullptr, *rstd2 = nullptr;
  Mat<T> head_raw;                       // queries and keys before their norms
  Mat<Stat<T>> head_rstd;
  Mat<T> attn_out, mlp_out;              // what is added, before its norm
  Stat<T> *attn_out_rstd = nullptr, *mlp_out_rstd = nullptr;
  Mat<T> xa[4];   // by Projection: x A^T of the adapter
  Mat<T> raw[4];  // by Projection: DoRA's W x + s B A x
};

template <class Device, class T>
struct DecoderBuffers {
  std::vector<Mat<T>> x;  // [layers + 1] inputs of the layers and the last output; one without a backward pass
  std::vector<LayerActivations<T>> layers;  // of the last layers, each its own; the layers before share the first. One without a backward pass
  std::vector<Mat<Stat<T>>> ropes;          // a table for each of config.ropes
  Mat<T> final_norm;
  Stat<T>* final_rstd = nullptr;
  Mat<T> delta;  // [T, H] what a half layer adds; in the backward pass gradients of a norm's output
  Mat<Stat<T>> attention_scratch;
  Mat<T> d, dact, dqkv, dattn, dxa;
  Mat<T> draw;     // [T, widest output]: gradient of a DoRA product before it is scaled
  Mat<T> dropped;  // [T, widest input]
  T* dense = nullptr;  // one linear layer, dequantized
  int64_t head_chunk = 0;  // C, rows of the head at a time
  Mat<T> head_rows;        // [C, H]
  Mat<Stat<T>> logits;     // [C, V]
  Mat<T> unit;             // [R, H]

  // Copies of the batch's lists and numbers, where the device does not read the host's memory. R is at most T.
  int32_t *tokens = nullptr, *positions = nullptr, *rows = nullptr, *targets = nullptr;
  uint64_t* token_ids = nullptr;
  AttentionTile* tiles = nullptr;
  KeyTile* key_tiles = nullptr;
  QueryRange* readers = nullptr;
  Stat<T> *logps = nullptr, *coef = nullptr;  // [R]

  void lay_out(Arena<Device>& arena, const ModelConfig& config, const DecoderPlan& plan);
};

// Columns of a projection's output.
int64_t output_columns(const ModelConfig& config, Projection projection);

// Bytes by part of the buffers this plan would take; allocates nothing.
template <class Device, class T>
MemoryParts decoder_memory(const ModelConfig& config, const DecoderPlan& plan);

}  // namespace concord
