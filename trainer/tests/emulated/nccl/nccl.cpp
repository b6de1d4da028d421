// What the trainer uses of NCCL, between processes whose GPUs are made of their CPUs: a file in memory that they share, and sums in the
// order of the ranks.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr size_t kRanksMax = 4, kPiece = 1 << 12;

struct Shared {
  std::atomic<int> here, round;
  float values[kRanksMax][kPiece];
};

struct Comm {
  Shared* shared;
  int size, rank;

  void meet() const {
    const int round = shared->round;
    if (++shared->here == size) {
      shared->here = 0;
      shared->round++;
    }
    for (int waits = 0; shared->round == round; waits++) {
      if (waits > 1'000'000) std::abort();  // the others are gone
      usleep(20);
    }
  }
};

struct UniqueId {
  char path[128];
};

}  // namespace

extern "C" {

int ncclGetUniqueId(UniqueId* id) {
  std::strcpy(id->path, "/tmp/concord-nccl-XXXXXX");
  const int file = mkstemp(id->path);
  if (file < 0 || ftruncate(file, sizeof(Shared)) != 0) return 2;
  return close(file);
}

int ncclCommInitRank(void** comm, int size, UniqueId id, int rank) {
  const int file = open(id.path, O_RDWR);
  if (file < 0 || static_cast<size_t>(size) > kRanksMax) return 2;
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return 2;
  auto* made = new Comm{static_cast<Shared*>(memory), size, rank};
  made->meet();
  if (rank == 0) unlink(id.path);
  *comm = made;
  return 0;
}

// Float32 and sums alone, and done when it returns.
int ncclAllReduce(const void* from, void* to, size_t n, int type, int operation, void* comm, void*) {
  if (type != 7 || operation != 0) return 4;
  const Comm& ranks = *static_cast<Comm*>(comm);
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t some = n - begin < kPiece ? n - begin : kPiece;
    std::memcpy(ranks.shared->values[ranks.rank], static_cast<const float*>(from) + begin, some * sizeof(float));
    ranks.meet();
    std::vector<float> sum(ranks.shared->values[0], ranks.shared->values[0] + some);
    for (int r = 1; r < ranks.size; r++)
      for (size_t i = 0; i < some; i++) sum[i] += ranks.shared->values[r][i];
    std::memcpy(static_cast<float*>(to) + begin, sum.data(), some * sizeof(float));
    ranks.meet();
  }
  return 0;
}

int ncclCommGetAsyncError(void*, int* error) {
  *error = 0;
  return 0;
}

int ncclCommDestroy(void* comm) {
  munmap(static_cast<Comm*>(comm)->shared, sizeof(Shared));
  delete static_cast<Comm*>(comm);
  return 0;
}

int ncclCommAbort(void* comm) { return ncclCommDestroy(comm); }

const char* ncclGetErrorString(int) { return "an error"; }
}
