// What a piece of code allocates: the peak of the bytes that live, and that none are left.
#pragma once

#include <cstddef>

namespace fuzz {

struct Allocated {
  size_t live = 0, peak = 0;
};
extern Allocated allocated;

}  // namespace fuzz
