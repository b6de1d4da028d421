// Device memory. An allocation ends at a page that nobody may touch; the bytes around it up to whole pages have a pattern that is
// looked at when it is released.
#include <sys/mman.h>

#include <map>

#include "cuda_runtime.h"

namespace emulated {
namespace {

constexpr size_t kPage = 4096, kAlign = 256;  // of cudaMalloc
constexpr unsigned char kPattern = 0xa5;

struct Allocation {
  unsigned char *begin, *end;  // of its pages, without the guard
  size_t bytes;
};
std::map<void*, Allocation>& allocations() {
  static std::map<void*, Allocation> all;
  return all;
}

constexpr size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

size_t taken = 0;

bool is_untouched(const unsigned char* from, const unsigned char* to) { return std::all_of(from, to, [](unsigned char c) { return c == kPattern; }); }

}  // namespace

void* allocate(size_t bytes) {
  const size_t aligned = rounded(bytes, kAlign), whole = rounded(aligned, kPage);
  if (aligned > free_bytes()) return nullptr;
  void* const pages = mmap(nullptr, whole + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<unsigned char*>(pages);
  mprotect(begin + whole, kPage, PROT_NONE);
  unsigned char* const p = begin + whole - aligned;
  std::memset(begin, kPattern, static_cast<size_t>(p - begin));
  std::memset(p + bytes, kPattern, aligned - bytes);
  taken += aligned;
  allocations()[p] = {begin, begin + whole, bytes};
  return p;
}

void release(void* p) {
  if (!p) return;
  const auto found = allocations().find(p);
  if (found == allocations().end()) std::fputs("memory was released that was not allocated\n", stderr), std::abort();
  const auto [begin, end, bytes] = found->second;
  auto* const of = static_cast<unsigned char*>(p);
  if (!is_untouched(begin, of) || !is_untouched(of + bytes, end)) std::fputs("memory beside an allocation was written\n", stderr), std::abort();
  taken -= rounded(bytes, kAlign);
  allocations().erase(found);
  munmap(begin, static_cast<size_t>(end - begin) + kPage);
}

size_t free_bytes() { return kMemoryBytes - taken; }

}  // namespace emulated
