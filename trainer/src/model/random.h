// Random numbers that are a function of (seed, stream) and a counter only, so that no state has to be saved: a resumed
// run draws what an uninterrupted one would. SplitMix64 (Steele, Lea & Flood 2014).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ops/host_device.h"

namespace concord {

class Random {
 public:
  CONCORD_HOST_DEVICE Random(uint64_t seed, uint64_t stream) : state_(mix(seed) ^ mix(~stream)) {}

  uint64_t next() { return mix(state_ += kStep); }
  // What the next() after `skipped` others would return.
  CONCORD_HOST_DEVICE uint64_t at(uint64_t skipped) const { return mix(state_ + (skipped + 1) * kStep); }
  // In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // In [0, n), unbiased enough for any n below 2^40.
  uint64_t below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64); }

  // Fisher and Yates.
  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (uint64_t i = items.size(); i > 1; i--) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
  CONCORD_HOST_DEVICE static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

}  // namespace concord
