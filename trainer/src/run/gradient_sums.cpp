#include "run/gradient_sums.h"

#ifdef CONCORD_CUDA

#include <chrono>
#include <set>
#include <thread>

namespace concord {
namespace {

bool nccl_fits(Cuda& device, Communicator& ranks) {
  const std::vector<std::string> all = ranks.gather(Nccl::available() ? gpu_of(device) : "");
  const std::set<std::string> gpus(all.begin(), all.end());
  bool fits = gpus.size() == all.size() && !gpus.contains("");
  ranks.broadcast(std::span(&fits, 1));
  return fits;
}

}  // namespace

GradientSums<Cuda>::GradientSums(Cuda& device, Communicator& ranks) : device_(device), ranks_(ranks) {
  if (ranks.size() == 1 || !nccl_fits(device, ranks)) return;
  std::string id = ranks.first() ? Nccl::new_id() : "";
  ranks.broadcast(id);
  nccl_ = std::make_unique<Nccl>(device, id, ranks.rank(), ranks.size());
}

void GradientSums<Cuda>::add_up(float* grads, std::span<float> host) {
  if (ranks_.size() == 1) return;
  if (nccl_) {
    nccl_->sum(grads, static_cast<int64_t>(host.size()));
    while (!nccl_->done()) {
      ranks_.require_all();  // NCCL would wait without end for one that is gone
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return;
  }
  device_.fetch(grads, host.data(), static_cast<int64_t>(host.size()));
  ranks_.sum(host);
  device_.write(std::span<const float>(host), grads);
}

}  // namespace concord

#endif
