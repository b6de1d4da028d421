// Marks functions that kernels call as well.
#pragma once

#ifdef __CUDACC__
#define CONCORD_HOST_DEVICE __host__ __device__
#else
#define CONCORD_HOST_DEVICE
#endif
