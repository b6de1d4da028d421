#include "cuda_runtime.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <csignal>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

namespace emulated {

dim3 thread, block, block_size, grid_size;
unsigned char* shared_memory = nullptr;
Graph* capturing = nullptr;

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr unsigned kWarp = 32;

struct Copy {
  void* to;
  const void* from;
  uint64_t group;
};

// Begins by its context, once; from then on it goes on where it left off, without the system calls of a context's change.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<std::byte[]> stack = std::make_unique<std::byte[]>(kStackBytes);
  dim3 index;
  bool ended = false;
  uint64_t exchanges = 0;  // of its warp that it has been in
  std::vector<Copy> copies;  // on their way, in order
  uint64_t groups = 0;       // of copies, ended
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
bool progress = false;  // since the round of a warp's threads began

// Visits 0 .. n-1, each time in another order, the same in every run of the program.
class Order {
 public:
  explicit Order(uint64_t n) : n_(n), at_(drawn(n)), step_(n > 1 ? 1 + drawn(n - 1) : 1) {
    while (std::gcd(step_, n_) != 1) step_--;
  }
  uint64_t next() { return at_ = (at_ + step_) % n_; }

 private:
  static uint64_t drawn(uint64_t below) {
    static std::minstd_rand random;
    return random() % below;
  }
  uint64_t n_, at_, step_;
};

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

// Until each of its threads waits for another warp or has ended, so that it is as far ahead of the others as barriers let it be. Whether it got
// any further.
bool run_warp(unsigned warp) {
  const unsigned lanes = warps[warp].size;
  for (bool any = false;; any = true) {
    progress = false;
    Order order(lanes);
    for (unsigned i = 0; i < lanes; i++) {
      current = warp * kWarp + static_cast<unsigned>(order.next());
      if (fibers[current]->ended) continue;
      thread = fibers[current]->index;
      go_on();
    }
    if (!progress) return any;
  }
}

void run_block(unsigned threads) {
  while (fibers.size() < threads) fibers.push_back(std::make_unique<Fiber>());
  warps.assign((threads + kWarp - 1) / kWarp, {});
  for (unsigned t = 0; t < threads; t++) {
    Fiber& fiber = *fibers[t];
    fiber.index = {t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
    fiber.ended = false;
    fiber.exchanges = 0;
    fiber.copies.clear();
    fiber.groups = 0;
    warps[t / kWarp].size++;
  }
  running = threads;
  at_barrier = 0;
  while (running > 0) {
    bool any = false;
    Order order(warps.size());
    for (size_t i = 0; i < warps.size(); i++) any |= run_warp(static_cast<unsigned>(order.next()));
    if (!any) throw std::logic_error("a kernel's threads wait for one another");
  }
}

// On a fault in what follows, says that it was in this kernel; null: faults are not of kernels.
void name_a_fault(const char* kernel) {
  static const char* name;
  static const bool handled = [] {
    struct sigaction action {};
    action.sa_handler = [](int signal) {
      if (name) {
        for (const char* text : {"the kernel ", name, " touched memory outside of all allocations\n"})
          if (write(2, text, std::strlen(text)) < 0) break;
      }
      std::signal(signal, SIG_DFL);
      raise(signal);
    };
    sigaction(SIGSEGV, &action, nullptr);
    return true;
  }();
  (void)handled;
  name = kernel;
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

void submit(std::function<void()> launch) {
  if (capturing) capturing->push_back(std::move(launch));
  else launch();
}

void copy_later(void* to, const void* from) {
  std::memset(to, 0xff, 16);
  fibers[current]->copies.push_back({to, from, fibers[current]->groups});
}

void commit_copies() { fibers[current]->groups++; }

void wait_for_copies(uint64_t newest) {
  Fiber& fiber = *fibers[current];
  const auto waited_for = [&](const Copy& copy) { return copy.group + newest < fiber.groups; };
  for (const Copy& copy : fiber.copies) {
    if (!waited_for(copy)) continue;
    if (copy.from) std::memcpy(copy.to, copy.from, 16);
    else std::memset(copy.to, 0, 16);
  }
  std::erase_if(fiber.copies, waited_for);
}

void run(const char* name, dim3 grid, dim3 threads, int64_t shared_bytes, const std::function<void()>& kernel) {
  const auto shared = std::make_unique<std::byte[]>(static_cast<size_t>(shared_bytes) + 128);
  shared_memory = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(shared.get()) + 127) / 128 * 128);
  body = &kernel;
  grid_size = grid;
  block_size = threads;
  name_a_fault(name);
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  Order order(blocks);
  for (uint64_t i = 0; i < blocks; i++) {
    const uint64_t b = order.next();
    block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)};
    std::memset(shared_memory, 0xff, static_cast<size_t>(shared_bytes));  // NaN: what is read before it is written shows
    run_block(threads.x * threads.y * threads.z);
  }
  name_a_fault(nullptr);
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
