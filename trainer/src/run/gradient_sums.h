// Gradients of all ranks added up where each has its own.
// defines: GradientSums
#pragma once

#include <memory>
#include <span>

#include "ops/cpu/cpu.h"
#include "ops/cuda/nccl.h"
#include "ranks/communicator.h"

namespace concord {

template <class Device>
class GradientSums;

template <>
class GradientSums<Cpu> {
 public:
  GradientSums(Cpu&, Communicator& ranks) : ranks_(ranks) {}
  void add_up(float* grads, std::span<float> host) { ranks_.sum(std::span(grads, host.size())); }
  const char* by() const { return "tcp"; }

 private:
  Communicator& ranks_;
};

#ifdef CONCORD_CUDA
// By NCCL where every rank has it and a GPU of its own, else by way of the hosts.
template <>
class GradientSums<Cuda> {
 public:
  GradientSums(Cuda& device, Communicator& ranks);
  // `host` is room for as many, where they pass it.
  void add_up(float* grads, std::span<float> host);
  const char* by() const { return nccl_ ? "nccl" : "tcp"; }

 private:
  Cuda& device_;
  Communicator& ranks_;
  std::unique_ptr<Nccl> nccl_;
};
#endif

}  // namespace concord
