// A GPU of the program's own: what the CUDA backend uses of the language and of its runtime, on one thread of the CPU.
// Sources of the backend are compiled as C++ with this folder before the toolkit's, so that kernels run where there is no GPU.
//
// A block's threads are fibers that take turns: each runs until it waits for others (a barrier, a shuffle). Blocks run one
// after another, so a `__shared__` variable may be static. Faults are made to show: a warp runs as far as barriers let it before another
// begins, lanes, warps and blocks in an order that changes, so that a missing barrier gives other results; asynchronous copies arrive when they
// are waited for, and not a moment before; what lies before and behind an allocation is guarded; loads that are not aligned end the program, where the compiler has
// sanitizers. What it cannot show: races between single instructions, what a compiler of GPU code makes of the source, and speed.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __constant__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace emulated {

extern dim3 thread, block, block_size, grid_size;
extern unsigned char* shared_memory;

// Runs `body` once for each thread of each block. `name` is told where the kernel touches what is not there.
void run(const char* name, dim3 grid, dim3 block, int64_t shared_bytes, const std::function<void()>& body);
// Runs what a launch would, or takes it down where a graph is being made.
void submit(std::function<void()> launch);
using Graph = std::vector<std::function<void()>>;
extern Graph* capturing;
// Until every thread of the block that has not ended is here.
void sync_block();
// The words that the 32 threads of the caller's warp brought, once all are here. Valid until the second call after it.
const uint64_t* exchange_in_warp(uint64_t word);
unsigned thread_in_block();

// 16 bytes to shared memory, zeros where `from` is null; commit_copies() ends a group. The thread's copies arrive in wait_for_copies(), all but
// those of its newest groups; until then their place holds NaN.
void copy_later(void* to, const void* from);
void commit_copies();
void wait_for_copies(uint64_t newest);

// Memory whose end is the end of what may be touched; null where kMemoryBytes do not hold it. What release() gets was not written beside.
inline constexpr size_t kMemoryBytes = size_t{1} << 30;
void* allocate(size_t bytes);
void release(void* p);
size_t free_bytes();

template <class V>
V shuffle(V value, unsigned from) {
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  const uint64_t got = exchange_in_warp(word)[from % 32];
  std::memcpy(&value, &got, sizeof value);
  return value;
}

}  // namespace emulated

#define threadIdx emulated::thread
#define blockIdx emulated::block
#define blockDim emulated::block_size
#define gridDim emulated::grid_size

inline void __syncthreads() { emulated::sync_block(); }
int __syncthreads_or(int predicate);
template <class V>
V __shfl_xor_sync(unsigned, V value, int mask) {
  return emulated::shuffle(value, emulated::thread_in_block() % 32 ^ static_cast<unsigned>(mask));
}
template <class V>
V __shfl_sync(unsigned, V value, int lane) {
  return emulated::shuffle(value, static_cast<unsigned>(lane));
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation, cudaErrorNotReady, cudaErrorStreamCaptureUnsupported };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum { cudaStreamNonBlocking, cudaHostAllocDefault };
struct cudaDeviceProp {
  char name[16];
  int major, minor;
};
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is capturing" : "out of memory";
}
inline cudaError_t cudaGetDeviceCount(int* n) { return *n = 1, cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) { return *p = {"emulated", 9, 0}, cudaSuccess; }
// A GPU made of a process is that process' own.
inline cudaError_t cudaDeviceGetPCIBusId(char* id, int bytes, int) { return std::snprintf(id, static_cast<size_t>(bytes), "%d", getpid()), cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* all) { return *free = emulated::free_bytes(), *all = emulated::kMemoryBytes, cudaSuccess; }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, int) { return cudaSuccess; }
inline cudaError_t unless_capturing() { return emulated::capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return unless_capturing(); }
inline cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaMalloc(void** p, size_t bytes) {
  if (emulated::capturing) return unless_capturing();
  *p = emulated::allocate(bytes);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* p) { return emulated::release(p), cudaSuccess; }
inline cudaError_t cudaHostAlloc(void** p, size_t bytes, int) { return *p = std::malloc(bytes), cudaSuccess; }
inline cudaError_t cudaFreeHost(void* p) { return std::free(p), cudaSuccess; }
inline cudaError_t cudaMemset(void* p, int value, size_t bytes) { return std::memset(p, value, bytes), cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (emulated::capturing) return unless_capturing();  // the backend's copies are from staging memory, whose bytes change
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) { return cudaMemset(p, value, bytes); }

using cudaGraph_t = emulated::Graph*;
using cudaGraphExec_t = emulated::Graph*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
inline cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return emulated::capturing = new emulated::Graph, cudaSuccess; }
inline cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) { return *graph = std::exchange(emulated::capturing, nullptr), cudaSuccess; }
inline cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned) { return *ready = new emulated::Graph(*graph), cudaSuccess; }
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return delete graph, cudaSuccess; }
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  for (const auto& launch : *graph) launch();
  return cudaSuccess;
}
