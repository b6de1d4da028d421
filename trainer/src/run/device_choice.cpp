#include "run/device_choice.h"

#include <cstdlib>

#include "error.h"
#include "io/json.h"
#include "ops/cuda/cuda.h"

namespace concord {

DeviceChoice parse_device(const std::string& text, const std::string& where) {
  if (text == "auto") return {};
  if (text == "cpu") return cpu_device();
  const std::string index = text.starts_with("cuda:") ? text.substr(5) : text == "cuda" ? "0" : "";
  if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos)
    bad_input(where + " is " + in_quotes(text) + ", but must be auto, cpu, cuda or cuda:N");
#ifndef CONCORD_CUDA
  bad_input(where + " is " + in_quotes(text) + ", but this build has no CUDA backend");
#endif
  return {.automatic = false, .cuda = true, .numbered = text.starts_with("cuda:"), .index = std::stoi(index)};
}

#ifdef CONCORD_CUDA
namespace {

int with_most_free_memory(int gpus) {
  int best = 0;
  for (int i = 1; i < gpus; i++)
    if (Cuda::describe(i).free_bytes > Cuda::describe(best).free_bytes) best = i;
  return best;
}

// A launcher may show each rank its own GPU alone.
bool shown_one(int gpus) { return gpus == 1 && std::getenv("CUDA_VISIBLE_DEVICES") != nullptr; }

}  // namespace

DeviceChoice resolve_device(DeviceChoice choice, int local_rank, int local_size) {
  const int gpus = choice.automatic || choice.cuda ? Cuda::count() : 0;
  if (choice.automatic) {
    choice = {.automatic = false, .cuda = gpus > 0};
    if (choice.cuda && local_size == 1) choice.index = with_most_free_memory(gpus);
  }
  if (!choice.cuda || local_size == 1) return choice;
  if (choice.numbered)
    bad_input("device is " + choice.name() + ", but " + std::to_string(local_size) + " ranks run on this host; say cuda, and each takes a GPU of its own");
  if (shown_one(gpus)) return choice;
  if (local_size > gpus)
    bad_input(std::to_string(local_size) + " ranks run on this host, which has " + std::to_string(gpus) + " GPUs; start one rank for each GPU");
  choice.index = local_rank;
  return choice;
}
#else
DeviceChoice resolve_device(DeviceChoice choice, int, int) {
  choice.automatic = false;
  return choice;
}
#endif

}  // namespace concord
