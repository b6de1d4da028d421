// The devices of this build, and what each stores weights and activations in: F(Device, T) for each.
#pragma once

#ifdef CONCORD_CUDA
#define CONCORD_FOR_DEVICES(F) F(Cpu, float) F(Cpu, double) F(Cuda, Bf16) F(Cuda, float)
#else
#define CONCORD_FOR_DEVICES(F) F(Cpu, float) F(Cpu, double)
#endif
