// The operations a decoder is made of. Each device overloads the same names and argument orders on its own handle; the model
// code names no device.
//
// Every op is a template on the scalar. On the CPU `float` trains and `double` is the oracle that the tests differentiate
// numerically; on a GPU it is `Bf16`, with `float` to be compared with the CPU.
//
// Work is cut into pieces whose size depends on the shapes only, each piece has one writer, and partial sums are added
// in a fixed order: the same input gives the same bytes on one device, whatever the number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "ops/activation.h"
#include "ops/attention_tiles.h"
#include "ops/cached_tiles.h"
#include "ops/cpu/cpu.h"
#include "ops/cuda/cuda.h"
#include "ops/devices.h"
#include "ops/quantized.h"
#include "ops/sampling.h"
#include "ops/types.h"

namespace concord::ops {

// Of products of at most so many rows each row's result is the same bytes whatever rows stand beside it. (On the CPU.)
inline constexpr int64_t kFewRows = 64;

// Elements of scratch that one worker of the CPU needs for attention over a list of so many keys.
int64_t attention_scratch_elements(int64_t keys_max);

#define CONCORD_DEVICE Cpu
#include "ops/signatures.h"
#undef CONCORD_DEVICE

// In builds that have them (ops/devices.h).
#define CONCORD_DEVICE Cuda
#include "ops/signatures.h"
#undef CONCORD_DEVICE

}  // namespace concord::ops
