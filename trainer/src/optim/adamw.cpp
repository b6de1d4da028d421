#include "optim/adamw.h"

#include <algorithm>
#include <cmath>

namespace concord {

template <class Device, class T>
void adamw_step(Device& device, AdamW<Device, T>& state, const std::vector<ParameterRange>& ranges, double learning_rate, double grad_scale,
                T* parameters, const T* grads) {
  state.steps++;
  const auto& o = state.options;
  const double t = static_cast<double>(state.steps);
  AdamWStep<T> step;
  step.beta1 = T(o.beta1);
  step.beta2 = T(o.beta2);
  step.keep1 = T(1 - o.beta1);
  step.keep2 = T(1 - o.beta2);
  step.grad_scale = T(grad_scale);
  step.inverse_root = T(1 / std::sqrt(1 - std::pow(o.beta2, t)));
  step.epsilon = T(o.epsilon);
  for (const ParameterRange& range : ranges) {
    const double rate = learning_rate * range.rate_factor;
    step.decay = T(1 - rate * range.weight_decay);
    step.size = T(rate / (1 - std::pow(o.beta1, t)));
    ops::adamw<T>(device, step, range.end - range.begin, parameters + range.begin, state.m.data() + range.begin,
                  state.v.data() + range.begin, grads + range.begin);
  }
}

template <class Device, class T>
double global_norm(Device& device, const T* x, int64_t n) {
  return std::sqrt(ops::sum_of_squares<T>(device, x, n));
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

#define CONCORD_INSTANTIATE(Device, T)                                                                                                \
  template void adamw_step<Device, T>(Device&, AdamW<Device, T>&, const std::vector<ParameterRange>&, double, double, T*, const T*);  \
  template double global_norm<Device, T>(Device&, const T*, int64_t);
CONCORD_INSTANTIATE(Cpu, float)
CONCORD_INSTANTIATE(Cpu, double)
#ifdef CONCORD_CUDA
CONCORD_INSTANTIATE(Cuda, float)
#endif
#undef CONCORD_INSTANTIATE

}  // namespace concord
