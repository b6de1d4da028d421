#include "run/device.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>

#include "error.h"

namespace concord {

namespace {

int part_of_cores(int local_ranks) {
  if (local_ranks == 1) return 0;
  const auto all = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) < sysconf(_SC_NPROCESSORS_ONLN)) return 0;
  return std::max(1, all / local_ranks);
}

}  // namespace

int thread_count(int local_ranks) {
  const char* text = std::getenv("CONCORD_THREADS");
  if (!text || !*text) return part_of_cores(local_ranks);
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*end != '\0' || n < 1 || n > 1024) bad_input("CONCORD_THREADS must be a whole number from 1 to 1024, not " + std::string(text));
  return static_cast<int>(n);
}

}  // namespace concord
