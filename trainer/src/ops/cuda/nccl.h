// NCCL, loaded when the first gradients of several GPUs are added up: sums between their memories, over NVLink or the network.
// defines: Nccl, gpu_of
#pragma once

#include <cstdint>
#include <string>

#include "ops/cuda/cuda.h"

namespace concord {

// Which GPU it is, among those of all hosts.
std::string gpu_of(Cuda& device);

class Nccl {
 public:
  // Whether the library is there: CONCORD_NCCL_LIBRARY, else libnccl.so.2 where the system looks for libraries. "none" is none.
  static bool available();
  static std::string new_id();  // of a set of ranks; the first makes it, all get it

  // Waits for all ranks, each with a GPU of its own.
  Nccl(Cuda& device, const std::string& id, int rank, int size);
  ~Nccl();  // without waiting for anybody where the sum is not done
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  // In place, on the device's stream; the same bits on all ranks.
  void sum(float* values, int64_t n);
  // Whether it is done; throws what went wrong.
  bool done();

 private:
  Cuda& device_;
  void* ranks_ = nullptr;
  bool under_way_ = false;
};

}  // namespace concord
