// An NVIDIA GPU as a device: its memory, and one stream on which everything runs in order. Members as in ops/cpu/cpu.h.
// defines: Cuda, Cuda::Buffer, Cuda::Graphs
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace concord {

class Cuda {
 public:
  struct Description {
    std::string name;
    int64_t memory_bytes = 0, free_bytes = 0;
    int major = 0, minor = 0;  // compute capability
  };

  // How many there are that this program has code for; 0 too where there is no driver.
  static int count();
  // Failure(2) where there is no device of that index, as below.
  static Description describe(int index);

  explicit Cuda(int index = 0);
  ~Cuda();
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;

  int threads() const { return 1; }
  int64_t free_bytes() const;

  static constexpr bool has_host_memory = false;
  static constexpr int64_t kLogits = 1 << 27;  // at a time; 1,024 rows of the largest usual vocabularies
  static constexpr int64_t kMicroBatchTokens = 8192;
  // Estimates for an 8B model on an H200, whose 8,192 tokens take 0.41 s: 1,500 launches of 3 us are 5 ms, dequantizing NF4 forward and back 8 ms.
  static constexpr double kMicroBatchCost = 100, kDequantizationCost = 160;
  static constexpr int64_t kSamplesInFlight = 512, kCacheBytes = INT64_MAX;
  static constexpr int64_t kAlign = 256;
  struct Free {
    void operator()(std::byte* p) const;
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  // Zeros. Throws std::bad_alloc.
  static Memory allocate(int64_t bytes);

  template <class V>
  std::span<const V> place(std::span<const V> host, V* to) {
    to_device(host.data(), to, static_cast<int64_t>(host.size_bytes()));
    return {to, host.size()};
  }
  template <class V>
  void write(std::span<const V> host, V* to) {
    to_device(host.data(), to, static_cast<int64_t>(host.size_bytes()));
  }
  template <class V>
  V* landing(V*, V* buffer) {
    return buffer;
  }
  template <class V>
  void fetch(const V* from, V* host, int64_t n) {
    to_host(from, host, n * static_cast<int64_t>(sizeof(V)));
  }

  // The host may change its bytes at once; they are on their way through memory that the device copies by itself.
  void to_device(const void* host, void* device, int64_t bytes);
  // Waits for what was asked for before, and for the copy.
  void to_host(const void* device, void* host, int64_t bytes);
  // For all that was asked for. Throws what went wrong meanwhile.
  void wait();

  // For the files beside this one.
  struct State;
  State& state() { return *state_; }

  template <class V>
  class Buffer;
  class Graphs;

 private:
  std::unique_ptr<State> state_;
};

// n zeros, or a copy of the host's numbers, in the device's memory.
template <class V>
class Cuda::Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t n) : memory_(n > 0 ? allocate(n * static_cast<int64_t>(sizeof(V))) : nullptr), size_(n) {}
  Buffer(Buffer&& other) noexcept : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  V* data() { return reinterpret_cast<V*>(memory_.get()); }
  const V* data() const { return reinterpret_cast<const V*>(memory_.get()); }
  size_t size() const { return static_cast<size_t>(size_); }
  bool empty() const { return size_ == 0; }
  // Room for n; what was there is lost where that takes more than there is.
  // In steps of a half at least, so that what grows by little does not move each time.
  void resize(int64_t n) {
    if (n > size_) *this = Buffer(std::max(n, size_ + size_ / 2));
  }

 private:
  Memory memory_;
  int64_t size_ = 0;
};

// Series of launches that come again and again, handed to the device as one graph each: of short kernels the launches would take longer than
// they do.
class Cuda::Graphs {
 public:
  using Key = std::vector<int64_t>;
  Graphs();
  ~Graphs();

  // f(), which launches and does nothing else with the device; what it launches, and every argument, follows from `key`. Called for the first
  // two runs of a key: as it is, so that all that is made at a first launch is there, and to be taken down. From then on the graph runs.
  void run(Cuda&, const Key& key, const std::function<void()>& f);

 private:
  struct Entry;
  Entry& entry_of(const Key& key);

  std::map<Key, Entry> entries_;
  int64_t runs_ = 0;
};

}  // namespace concord
