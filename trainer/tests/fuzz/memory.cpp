#include "memory.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace fuzz {
Allocated allocated;
}

namespace {

void* take(std::size_t bytes, std::size_t align) {
  void* pointer = align > alignof(std::max_align_t) ? std::aligned_alloc(align, (bytes + align - 1) / align * align) : std::malloc(bytes > 0 ? bytes : 1);
  if (!pointer) throw std::bad_alloc();
  fuzz::allocated.live += malloc_usable_size(pointer);
  if (fuzz::allocated.live > fuzz::allocated.peak) fuzz::allocated.peak = fuzz::allocated.live.load();
  return pointer;
}

void give_back(void* pointer) {
  if (pointer) fuzz::allocated.live -= malloc_usable_size(pointer);
  std::free(pointer);
}

}  // namespace

void* operator new(std::size_t bytes) { return take(bytes, 0); }
void* operator new[](std::size_t bytes) { return take(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t align) { return take(bytes, static_cast<std::size_t>(align)); }
void operator delete(void* pointer) noexcept { give_back(pointer); }
void operator delete[](void* pointer) noexcept { give_back(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { give_back(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { give_back(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { give_back(pointer); }
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept { give_back(pointer); }
