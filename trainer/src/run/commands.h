// What each subcommand gets from the command line. Each returns the exit code or throws Failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/quantized.h"
#include "run/events.h"
#include "run/job.h"

namespace concord {

struct ScoreArgs {
  std::string model, adapter, groups, out;  // adapter may be empty
  Quantization quantization = Quantization::none;
  std::string compare = {};  // scores of the same groups; may be empty
  DeviceChoice device = cpu_device();
};

struct GenerateArgs {
  std::string model, adapter, groups, out;
  Quantization quantization = Quantization::none;
  int64_t num_return_sequences = 1;
  int64_t max_new_tokens = 128;
  double temperature = 1;  // 0: greedy
  double top_p = 1;        // 1: off
  int64_t top_k = 0;       // 0: off
  double min_p = 0;        // 0: off
  double repetition_penalty = 1;
  int64_t seed = 42;
  std::optional<std::vector<int64_t>> stop;  // absent: the model's eos; empty: never
  DeviceChoice device = cpu_device();
};

struct ServeArgs {
  std::string model;
  Quantization quantization = Quantization::none;
  int64_t max_num_seqs = 128;           // samples that advance together
  std::optional<int64_t> cache_tokens;  // of prompts and samples in flight; absent: what half of the free memory holds, of the host's 1 GB at most
  DeviceChoice device = cpu_device();
};

struct BenchArgs {
  std::string job;  // its train_file and output_dir are not touched
  int64_t completions = 4, prompt_tokens = 64, completion_tokens = 64;  // of each group
  int64_t steps = 20;
  std::optional<DeviceChoice> device;  // instead of the job's
};

struct BenchGenerateArgs {
  std::string model;
  Quantization quantization = Quantization::none;
  int64_t prompts = 64, prompt_tokens = 512, num_return_sequences = 4, max_new_tokens = 256;
  DeviceChoice device = cpu_device();
};

int run_train(const Job& job, EventSink sink = EventSink::stdout_and_file);  // run/train.cpp
int run_bench(const BenchArgs& args);             // run/bench.cpp
int run_bench_generate(const BenchGenerateArgs& args);  // run/bench_generate.cpp
int run_score(const ScoreArgs& args);             // run/score.cpp
int run_generate(const GenerateArgs& args);       // run/generate.cpp
int run_serve(const ServeArgs& args);             // run/serve.cpp
int run_init(const std::string& config_file, int64_t seed, const std::string& out);
int run_inspect(const std::string& model, const std::string& job_file);  // job_file may be empty
int run_merge(const std::string& model, const std::string& adapter, const std::string& out,
              Quantization quantization = Quantization::none);
int run_devices();

}  // namespace concord
