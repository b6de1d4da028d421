// What a piece of code allocates: the peak of the bytes that live, and that none are left. Near the peak only, where threads allocate.
#pragma once

#include <atomic>
#include <cstddef>

namespace fuzz {

struct Allocated {
  std::atomic<size_t> live = 0, peak = 0;
};
extern Allocated allocated;

}  // namespace fuzz
