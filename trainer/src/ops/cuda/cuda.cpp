#include "ops/cuda/cuda.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include "error.h"
#include "ops/cuda/state.h"
#include "ops/nf4.h"

namespace concord {
namespace {

constexpr int kLeastMajor = 8;  // Ampere: the first with mma of bfloat16 and asynchronous copies

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a refused launch or allocation is not to be reported again by the next call
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

namespace {

cudaDeviceProp properties_of(int index) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, index), "reading a device's properties");
  return properties;
}

// Failure(2) where there is no such device.
void require(int index) {
  const int n = Cuda::count();
  if (index < n) return;
  bad_input("cuda:" + std::to_string(index) + " is not there: this machine has " + (n == 0 ? "no" : std::to_string(n)) +
            " NVIDIA GPU of compute capability 8.0 or later" + (n == 0 ? ", or no driver for it" : ""));
}

}  // namespace

int Cuda::count() {
  int all = 0;
  if (cudaGetDeviceCount(&all) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  int usable = 0;
  while (usable < all && properties_of(usable).major >= kLeastMajor) usable++;
  return usable;
}

Cuda::Description Cuda::describe(int index) {
  require(index);
  const cudaDeviceProp properties = properties_of(index);
  check_cuda(cudaSetDevice(index), "choosing a device");
  size_t free_bytes = 0, all_bytes = 0;
  check_cuda(cudaMemGetInfo(&free_bytes, &all_bytes), "reading a device's free memory");
  return {properties.name, static_cast<int64_t>(all_bytes), static_cast<int64_t>(free_bytes), properties.major, properties.minor};
}

Cuda::Cuda(int index) : state_(std::make_unique<State>()) {
  require(index);
  State& s = *state_;
  s.index = index;
  check_cuda(cudaSetDevice(index), "choosing a device");
  check_cuda(cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking), "making a stream");
  check_cuda(cudaHostAlloc(reinterpret_cast<void**>(&s.staging), kStagingBytes, cudaHostAllocDefault), "allocating page-locked memory");
  s.reduction = allocate(kReductionBytes).release();
  s.blas = start_blas();
  std::vector<float> tables(kNf4Codes.begin(), kNf4Codes.end());
  tables.insert(tables.end(), dynamic_map().begin(), dynamic_map().end());
  s.nf4_tables = reinterpret_cast<float*>(allocate(static_cast<int64_t>(tables.size() * sizeof(float))).release());
  write(std::span<const float>(tables), s.nf4_tables);
}

Cuda::~Cuda() {
  State& s = *state_;
  cudaStreamSynchronize(s.stream);
  s.blas.reset();
  for (void* memory : {static_cast<void*>(s.reduction), static_cast<void*>(s.nf4_tables)}) cudaFree(memory);
  cudaFreeHost(s.staging);
  cudaStreamDestroy(s.stream);
}

int64_t Cuda::free_bytes() const { return describe(state_->index).free_bytes; }

void Cuda::Free::operator()(std::byte* p) const { cudaFree(p); }

Cuda::Memory Cuda::allocate(int64_t bytes) {
  void* memory = nullptr;
  const auto size = static_cast<size_t>(std::max<int64_t>(bytes, kAlign));
  check_cuda(cudaMalloc(&memory, size), "allocating memory");
  Memory owned(static_cast<std::byte*>(memory));
  check_cuda(cudaMemset(memory, 0, size), "clearing memory");
  check_cuda(cudaDeviceSynchronize(), "clearing memory");  // the handle's stream does not wait for the default one
  return owned;
}

void Cuda::to_device(const void* host, void* device, int64_t bytes) {
  State& s = *state_;
  const auto* from = static_cast<const std::byte*>(host);
  auto* to = static_cast<std::byte*>(device);
  while (bytes > 0) {
    if (s.staged == kStagingBytes) {
      wait();
      s.staged = 0;
    }
    const int64_t some = std::min(bytes, kStagingBytes - s.staged);
    std::memcpy(s.staging + s.staged, from, static_cast<size_t>(some));
    check_cuda(cudaMemcpyAsync(to, s.staging + s.staged, static_cast<size_t>(some), cudaMemcpyHostToDevice, s.stream), "copying to the device");
    s.staged += some;
    from += some;
    to += some;
    bytes -= some;
  }
}

void Cuda::to_host(const void* device, void* host, int64_t bytes) {
  if (bytes == 0) return;
  check_cuda(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, state_->stream), "copying from the device");
  wait();
}

void Cuda::wait() { check_cuda(cudaStreamSynchronize(state_->stream), "waiting for the device"); }

}  // namespace concord
