#include "ops/cuda/nccl.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "error.h"
#include "ops/cuda/state.h"

namespace concord {
namespace {

// As nccl.h of version 2 has them, so that building needs no NCCL.
struct UniqueId {
  char bytes[128];
};
constexpr int kFloat32 = 7, kSum = 0, kSuccess = 0, kInProgress = 7;

struct Functions {
  int (*GetUniqueId)(UniqueId*) = nullptr;
  int (*CommInitRank)(void**, int, UniqueId, int) = nullptr;
  int (*CommDestroy)(void*) = nullptr;
  int (*CommAbort)(void*) = nullptr;
  int (*CommGetAsyncError)(void*, int*) = nullptr;
  int (*AllReduce)(const void*, void*, size_t, int, int, void*, cudaStream_t) = nullptr;
  const char* (*GetErrorString)(int) = nullptr;
  bool found = false;
};

Functions load() {
  Functions functions;
  const char* named = std::getenv("CONCORD_NCCL_LIBRARY");
  const std::string path = named && *named ? named : "libnccl.so.2";
  if (path == "none") return functions;
  void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library) {
    if (named && *named) bad_input("CONCORD_NCCL_LIBRARY is " + path + ", which cannot be loaded: " + dlerror());
    return functions;
  }
  const auto get = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (!function) bad_input(path + " lacks the function " + name + "; NCCL 2 is needed");
  };
  get("ncclGetUniqueId", functions.GetUniqueId);
  get("ncclCommInitRank", functions.CommInitRank);
  get("ncclCommDestroy", functions.CommDestroy);
  get("ncclCommAbort", functions.CommAbort);
  get("ncclCommGetAsyncError", functions.CommGetAsyncError);
  get("ncclAllReduce", functions.AllReduce);
  get("ncclGetErrorString", functions.GetErrorString);
  functions.found = true;
  return functions;
}

const Functions& nccl() {
  static const Functions functions = load();
  return functions;
}

void check_nccl(int result, const char* what) {
  if (result != kSuccess && result != kInProgress) throw std::runtime_error(std::string(what) + ": NCCL: " + nccl().GetErrorString(result));
}

}  // namespace

std::string gpu_of(Cuda& device) {
  char bus[32] = {}, host[256] = {};
  check_cuda(cudaDeviceGetPCIBusId(bus, sizeof bus, device.state().index), "reading a device's place");
  gethostname(host, sizeof host - 1);
  return std::string(bus) + ' ' + host;
}

bool Nccl::available() { return nccl().found; }

std::string Nccl::new_id() {
  UniqueId id{};
  check_nccl(nccl().GetUniqueId(&id), "naming the ranks");
  return {id.bytes, sizeof id.bytes};
}

Nccl::Nccl(Cuda& device, const std::string& id, int rank, int size) : device_(device) {
  UniqueId of_all{};
  if (id.size() != sizeof of_all.bytes) throw std::runtime_error("the ranks' NCCL id has a wrong size");
  std::memcpy(of_all.bytes, id.data(), id.size());
  check_cuda(cudaSetDevice(device.state().index), "choosing a device");
  check_nccl(nccl().CommInitRank(&ranks_, size, of_all, rank), "connecting the GPUs");
}

Nccl::~Nccl() {
  if (!ranks_) return;
  if (under_way_) {
    nccl().CommAbort(ranks_);
  } else {
    nccl().CommDestroy(ranks_);
  }
}

void Nccl::sum(float* values, int64_t n) {
  under_way_ = true;
  check_nccl(nccl().AllReduce(values, values, static_cast<size_t>(n), kFloat32, kSum, ranks_, device_.state().stream), "adding up gradients");
}

bool Nccl::done() {
  int error = kSuccess;
  check_nccl(nccl().CommGetAsyncError(ranks_, &error), "adding up gradients");
  check_nccl(error, "adding up gradients");
  const cudaError_t state = cudaStreamQuery(device_.state().stream);
  if (state == cudaErrorNotReady) return false;
  check_cuda(state, "adding up gradients");
  under_way_ = false;
  return true;
}

}  // namespace concord
