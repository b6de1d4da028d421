#include "cuda_runtime.h"

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace emulated {

dim3 thread, block, block_size, grid_size;
unsigned char* shared_memory = nullptr;

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr unsigned kWarp = 32;

// Begins by its context, once; from then on it goes on where it left off, without the system calls of a context's change.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<std::byte[]> stack = std::make_unique<std::byte[]>(kStackBytes);
  dim3 index;
  bool ended = false;
  uint64_t exchanges = 0;  // of its warp that it has been in
};
struct Warp {
  uint64_t words[2][kWarp];  // of the exchange under way and of the one before
  unsigned arrived = 0, size = 0;
  uint64_t exchanges = 0;  // completed
};

jmp_buf scheduler;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
unsigned current = 0, running = 0, at_barrier = 0;
uint64_t barriers = 0;
const std::function<void()>* body = nullptr;
bool progress = false;  // since the scheduler's last round

void yield() {
  if (_setjmp(fibers[current]->place) == 0) _longjmp(scheduler, 1);
}

// A fiber's life: one thread of one block after another.
void run_threads() {
  while (true) {
    (*body)();
    fibers[current]->ended = true;
    running--;
    progress = true;
    if (running > 0 && at_barrier == running) {  // those that have ended are not waited for
      at_barrier = 0;
      barriers++;
    }
    yield();
  }
}

void go_on() {
  Fiber& fiber = *fibers[current];
  if (_setjmp(scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  makecontext(&fiber.context, run_threads, 0);
  setcontext(&fiber.context);
}

void run_block(unsigned threads) {
  while (fibers.size() < threads) fibers.push_back(std::make_unique<Fiber>());
  warps.assign((threads + kWarp - 1) / kWarp, {});
  for (unsigned t = 0; t < threads; t++) {
    Fiber& fiber = *fibers[t];
    fiber.index = {t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
    fiber.ended = false;
    fiber.exchanges = 0;
    warps[t / kWarp].size++;
  }
  running = threads;
  at_barrier = 0;
  while (running > 0) {
    progress = false;
    for (current = 0; current < threads; current++) {
      if (fibers[current]->ended) continue;
      thread = fibers[current]->index;
      go_on();
    }
    if (!progress) throw std::logic_error("a kernel's threads wait for one another");
  }
}

}  // namespace

unsigned thread_in_block() { return current; }

void sync_block() {
  const uint64_t this_one = barriers;
  progress = true;
  if (++at_barrier == running) {
    at_barrier = 0;
    barriers++;
    return;
  }
  while (barriers == this_one) yield();
}

const uint64_t* exchange_in_warp(uint64_t word) {
  Warp& warp = warps[current / kWarp];
  Fiber& fiber = *fibers[current];
  const uint64_t this_one = fiber.exchanges++;
  uint64_t* words = warp.words[this_one % 2];
  words[current % kWarp] = word;
  progress = true;
  if (++warp.arrived == warp.size) {
    warp.arrived = 0;
    warp.exchanges++;
  }
  while (warp.exchanges == this_one) yield();
  return words;
}

void run(dim3 grid, dim3 threads, int64_t shared_bytes, const std::function<void()>& kernel) {
  const auto shared = std::make_unique<std::byte[]>(static_cast<size_t>(shared_bytes) + 128);
  shared_memory = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(shared.get()) + 127) / 128 * 128);
  body = &kernel;
  grid_size = grid;
  block_size = threads;
  for (block.z = 0; block.z < grid.z; block.z++)
    for (block.y = 0; block.y < grid.y; block.y++)
      for (block.x = 0; block.x < grid.x; block.x++) {
        std::memset(shared_memory, 0xff, static_cast<size_t>(shared_bytes));  // NaN: what is read before it is written shows
        run_block(threads.x * threads.y * threads.z);
      }
}

}  // namespace emulated

int __syncthreads_or(int predicate) {
  static int any[2];
  static uint64_t turn = 0;
  // The thread that comes first after a barrier clears the slot of the next call.
  const uint64_t mine = turn;
  any[mine % 2] |= predicate != 0;
  emulated::sync_block();
  if (turn == mine) {
    turn++;
    any[turn % 2] = 0;
  }
  return any[mine % 2];
}
