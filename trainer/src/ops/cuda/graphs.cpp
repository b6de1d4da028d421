#include "ops/cuda/state.h"

namespace concord {
namespace {

constexpr size_t kEntriesMax = 32;  // keys that are remembered; the one that was not run for longest gives way

}  // namespace

struct Cuda::Graphs::Entry {
  bool seen = false;
  cudaGraphExec_t graph = nullptr;
  int64_t last_run = 0;

  Entry() = default;
  Entry(const Entry&) = delete;
  ~Entry() {
    if (graph) cudaGraphExecDestroy(graph);
  }
};

Cuda::Graphs::Graphs() = default;
Cuda::Graphs::~Graphs() = default;

Cuda::Graphs::Entry& Cuda::Graphs::entry_of(const Key& key) {
  const auto [found, is_new] = entries_.try_emplace(key);
  found->second.last_run = ++runs_;
  if (entries_.size() > kEntriesMax) {
    const auto older = [](const auto& x, const auto& y) { return x.second.last_run < y.second.last_run; };
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), older));
  }
  return found->second;
}

namespace {

// What f() launches, as a graph; nothing of it runs.
cudaGraphExec_t captured(cudaStream_t stream, const std::function<void()>& f) {
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "taking down launches");
  cudaGraph_t graph = nullptr;
  try {
    f();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream, &graph), "taking down launches");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t error = cudaGraphInstantiateWithFlags(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(error, "making a graph of launches");
  return ready;
}

}  // namespace

void Cuda::Graphs::run(Cuda& cuda, const Key& key, const std::function<void()>& f) {
  Entry& entry = entry_of(key);
  const cudaStream_t stream = cuda.state().stream;
  if (!entry.seen) {
    entry.seen = true;
    return f();
  }
  if (!entry.graph) entry.graph = captured(stream, f);
  check_cuda(cudaGraphLaunch(entry.graph, stream), "launching a graph");
}

}  // namespace concord
