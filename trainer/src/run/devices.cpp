#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "run/commands.h"

#include "io/json.h"
#include "ops/cuda/cuda.h"

namespace concord {
namespace {

// The text after `key` and a colon in a file of /proc, or "".
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    const size_t begin = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "";
}

int64_t free_memory_bytes() {
  const std::string kib = proc_value("/proc/meminfo", "MemAvailable");
  if (!kib.empty()) return std::strtoll(kib.c_str(), nullptr, 10) * 1024;
  return static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

}  // namespace

int run_devices() {
  const Json cpu = Json::Object{{"device", "cpu"},
                                {"name", proc_value("/proc/cpuinfo", "model name")},
                                {"threads", static_cast<int64_t>(std::thread::hardware_concurrency())},
                                {"memory_bytes", static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE)},
                                {"free_memory_bytes", free_memory_bytes()},
                                {"supports", Json::Array{"float32"}}};
  Json::Array devices{cpu}, backends{"cpu"};
#ifdef CONCORD_CUDA
  backends.push_back("cuda");
  for (int i = 0; i < Cuda::count(); i++) {
    const Cuda::Description gpu = Cuda::describe(i);
    devices.push_back(Json::Object{{"device", "cuda:" + std::to_string(i)},
                                   {"name", gpu.name},
                                   {"compute_capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor)},
                                   {"memory_bytes", gpu.memory_bytes},
                                   {"free_memory_bytes", gpu.free_bytes},
                                   {"supports", Json::Array{"bfloat16"}}});
  }
#endif
  const Json out = Json::Object{{"devices", devices}, {"backends", backends}};
  std::printf("%s\n", to_text(out).c_str());
  return 0;
}

}  // namespace concord
