// The CPU as a device: its threads, and its memory, which is the program's own.
//
// A small pool: `for_each(n, f)` runs f(task, worker) for task 0..n-1 on all workers and returns when all are done.
// Tasks are handed out as workers become free. That does not disturb determinism, as each task's result must not depend
// on who ran it; it does keep a machine shared with others busy, where fixed shares would wait for the slowest.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <thread>
#include <type_traits>
#include <vector>

namespace concord {

class Cpu {
 public:
  static int cores_allowed();  // that this process may run on
  // threads 0: one for each of them.
  explicit Cpu(int threads = 0);
  ~Cpu();
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class F>
  void for_each(int64_t tasks, F&& f) {
    using Body = std::remove_reference_t<F>;
    run(tasks, [](void* body, int64_t task, int worker) { (*static_cast<Body*>(body))(task, worker); }, &f);
  }

  // f(begin, end) over [0, n) in pieces of `piece` elements.
  template <class F>
  void for_ranges(int64_t n, int64_t piece, F&& f) {
    for_each((n + piece - 1) / piece, [&](int64_t task, int) {
      const int64_t begin = task * piece;
      f(begin, begin + piece < n ? begin + piece : n);
    });
  }

  // What every device has. The host reads and writes this one's memory, so nothing is copied.
  static constexpr bool has_host_memory = true;
  static constexpr int64_t kLogits = 1 << 20;  // at a time; 4 MB of floats stay in the second-level caches
  // Long enough for full-speed products; more only moves activations out of the caches (bench/RESULTS.md).
  static constexpr int64_t kMicroBatchTokens = 2048;
  // Of each micro-batch, in tokens' time; dequantizing NF4, FP8 costs less (bench/RESULTS.md, Micro-batches).
  static constexpr double kMicroBatchCost = 4, kDequantizationCost = 10;
  static constexpr int64_t kSamplesInFlight = 128, kCacheBytes = int64_t{1} << 30;  // of generation, at most
  template <class V>
  using Buffer = std::vector<V>;
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  static constexpr int64_t kAlign = 64;  // one cache line, one AVX-512 register
  // Throws std::bad_alloc.
  Memory allocate(int64_t bytes) const;
  // A copy of `host` in the device's memory; `to` has room for it. Here `host` itself.
  template <class V>
  std::span<const V> place(std::span<const V> host, V*) {
    return host;
  }
  // `host` at `to` in the device's memory, there to stay.
  template <class V>
  void write(std::span<const V> host, V* to) {
    std::copy(host.begin(), host.end(), to);
  }
  // Where ops write n numbers that fetch() then brings to `host`: `buffer`, or here `host` itself.
  template <class V>
  V* landing(V* host, V*) {
    return host;
  }
  template <class V>
  void fetch(const V*, V*, int64_t) {}
  struct Graphs {};  // of other devices: launches that come again

 private:
  using BodyFn = void (*)(void* body, int64_t task, int worker);
  void run(int64_t tasks, BodyFn fn, void* body);
  void work_until_empty(int worker);
  void worker_main(int worker);

  // Ticket: high half counts runs, low half the tasks not yet handed out. A worker that wakes late finds a ticket of
  // another run or an empty one, and touches nothing.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int64_t> unfinished_{0};
  std::atomic<uint32_t> run_number_{0};
  std::atomic<bool> stop_{false};
  int64_t tasks_ = 0;
  BodyFn fn_ = nullptr;
  void* body_ = nullptr;
  std::vector<std::thread> workers_;
};

}  // namespace concord
