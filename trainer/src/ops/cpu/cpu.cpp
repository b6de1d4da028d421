#include "ops/cpu/cpu.h"

#include <cblas.h>
#include <sched.h>

#include <algorithm>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace concord {
namespace {

// About 20 microseconds: longer than the serial gaps between two ops of a layer, shorter than a scheduler tick.
constexpr int kSpins = 2000;

// Tells the core that this thread spins, so that its sibling gets the units.
void spin_once() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int Cpu::cores_allowed() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

Cpu::Cpu(int threads) {
  // GEMMs are cut into pieces by our own threads; OpenBLAS' second pool would fight ours for the cores.
  openblas_set_num_threads(1);
  if (threads <= 0) threads = cores_allowed();
  for (int worker = 1; worker < threads; worker++) workers_.emplace_back([this, worker] { worker_main(worker); });
}

Cpu::~Cpu() {
  stop_.store(true);
  run_number_.fetch_add(1);
  run_number_.notify_all();
  for (auto& worker : workers_) worker.join();
}

Cpu::Memory Cpu::allocate(int64_t bytes) const {
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(kAlign, std::max(bytes, kAlign))));
  if (!memory) throw std::bad_alloc();
  return memory;
}

void Cpu::run(int64_t tasks, BodyFn fn, void* body) {
  if (tasks <= 0) return;
  if (workers_.empty() || tasks == 1) {
    for (int64_t task = 0; task < tasks; task++) fn(body, task, 0);
    return;
  }
  tasks_ = tasks;
  fn_ = fn;
  body_ = body;
  unfinished_.store(tasks, std::memory_order_relaxed);
  const uint64_t run = run_number_.load(std::memory_order_relaxed) + 1;
  ticket_.store(run << 32 | static_cast<uint64_t>(tasks), std::memory_order_release);
  run_number_.store(static_cast<uint32_t>(run), std::memory_order_release);
  run_number_.notify_all();

  work_until_empty(0);
  for (int spin = 0; unfinished_.load(std::memory_order_acquire) != 0; spin++) {
    if (spin < kSpins) {
      spin_once();
    } else {
      std::this_thread::yield();
    }
  }
}

void Cpu::work_until_empty(int worker) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while ((ticket & 0xffffffffu) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }
    // Holding a ticket keeps run() from returning, so fn_, body_ and tasks_ are those of this run.
    const int64_t task = tasks_ - static_cast<int64_t>(ticket & 0xffffffffu);
    fn_(body_, task, worker);
    unfinished_.fetch_sub(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Cpu::worker_main(int worker) {
  uint32_t seen = 0;
  while (true) {
    for (int spin = 0; spin < kSpins && run_number_.load(std::memory_order_acquire) == seen; spin++) spin_once();
    run_number_.wait(seen, std::memory_order_acquire);
    seen = run_number_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    work_until_empty(worker);
  }
}

}  // namespace concord
