// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), in the order of torch.optim.AdamW:
//   p -= lr wd p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
#pragma once

#include <vector>

#include "ops/ops.h"

namespace concord {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

template <class Device, class T>
struct AdamW {
  AdamWOptions options;
  typename Device::template Buffer<T> m, v;  // one element per parameter
  int64_t steps = 0;

  AdamW(AdamWOptions o, int64_t parameters) : options(o), m(parameters), v(parameters) {}
};

// Parameters [begin, end) of the flat buffer that are stepped alike.
struct ParameterRange {
  int64_t begin = 0, end = 0;
  double weight_decay = 0;
  double rate_factor = 1;  // of the learning rate
};

// One step over all ranges; gradients are multiplied by `grad_scale` (clipping) as they are read.
template <class Device, class T>
void adamw_step(Device&, AdamW<Device, T>& state, const std::vector<ParameterRange>& ranges, double learning_rate, double grad_scale,
                T* parameters, const T* grads);

// sqrt of the sum of squares, added in double in a fixed order.
template <class Device, class T>
double global_norm(Device&, const T* x, int64_t n);

// Factor that brings a norm down to max_norm: min(1, max_norm / (norm + 1e-6)) as torch.nn.utils.clip_grad_norm_;
// max_norm 0 never clips.
double clip_factor(double norm, double max_norm);

}  // namespace concord
