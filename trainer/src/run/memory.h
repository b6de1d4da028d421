// Decides micro-batch size and recomputation before anything large is allocated.
// defines: MemoryPlan, plan_memory, available_memory_bytes, peak_memory_bytes
#pragma once

#include "model/decoder.h"
#include "run/dataset.h"

namespace concord {

struct MemoryPlan {
  DecoderPlan decoder;
  int64_t micro_batch_tokens = 0;
  double cost = 0;    // time for a token, as plan_memory has it
  MemoryParts parts;  // data, weights, gradients, optimizer, then the decoder's buffers
  int64_t total_bytes = 0;
};

// What the plan depends on.
struct MemoryNeed {
  int64_t weights = 0;            // of the model, float32
  int64_t trainable = 0;          // each with gradient and two moments
  int64_t largest_group_tokens = 0, longest_sequence_tokens = 0;
  int64_t lora_ranks = 0;         // as in DecoderPlan, as the next
  bool dora = false;
  int threads = 1;                // each has scratch of its own
  int64_t data_bytes = 0;         // groups files as they lie in memory
  int64_t quantized_bytes = 0;    // quantized linear layers, which are not among `weights`
  int64_t all_tokens = 0;         // of the larger file: no micro-batch holds more
  bool cuda = false;              // the plan is of a GPU's memory

  void cover(const Dataset& data);  // its size, largest group and longest sequence
};

// The fastest of the micro-batches and numbers of recomputed layers that the job allows and that fit; of equally fast ones the largest
// micro-batch. If none fits, Failure(3) says what it needs, what there is and what would fit.
//
// The time for a token, where forward and backward pass are 1:
//   1 + forward x rerun x (recomputed layers / layers) + fixed / (tokens of a micro-batch)
// forward: of an adapter 1/2 (of 4 FLOPs for each weight of the base 2 are forward: its own gradient is not computed), of all weights 1/3 (2 of 6).
// rerun: the share of a layer's products that is computed again: all but the last, unless its norm or DoRA's gain reads the result.
// fixed: what a micro-batch costs whatever its size, in tokens: the device's kMicroBatchCost and, on a quantized base, kDequantizationCost.
MemoryPlan plan_memory(const Job& job, const ModelConfig& config, const MemoryNeed& need, int64_t available_bytes);

int64_t available_memory_bytes();  // of the CPU: free now, within the limits of this process (ulimit -v) and of its control group
inline int64_t available_memory_bytes(const Cpu&) { return available_memory_bytes(); }
inline int64_t available_memory_bytes(const Cuda& cuda) { return cuda.free_bytes(); }
int64_t available_memory_bytes(const DeviceChoice& device);  // free now, where it computes
int64_t peak_memory_bytes();       // resident, so far

Json memory_json(const MemoryPlan& plan);

}  // namespace concord
