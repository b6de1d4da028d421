// concord-trainer: the subcommands of the trainer's contract.

#include <cstdio>
#include <cstring>
#include <functional>
#include <new>
#include <set>

#include "error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/limits.h"
#include "ops/cpu/blas_kernels.h"
#include "run/commands.h"
#include "run/flags.h"
#include "run/job_keys.h"
#include "run/signals.h"

namespace concord {
namespace {

struct Command {
  const char* name;
  const char* usage;
  std::vector<std::string> flags, required;
  size_t n_positional;
  std::function<int(const Flags&)> run;
};

Quantization quantization_of(const Flags& flags) {
  const std::string word = flags.text("--quantize", "none");
  if (word == "none") return Quantization::none;
  if (word == "nf4") return Quantization::nf4;
  if (word == "nf4-double") return Quantization::nf4_double;
  if (word == "fp8") return Quantization::fp8;
  bad_input("--quantize is " + in_quotes(word) + ", but must be one of: none, nf4, nf4-double, fp8");
}

std::optional<DeviceChoice> device_of(const Flags& flags) {
  if (!flags.has("--device")) return std::nullopt;
  return parse_device(flags.text("--device"), "--device");
}

ScoreArgs score_args(const Flags& flags) {
  return {flags.text("--model"), flags.text("--adapter"), flags.text("--groups"), flags.text("--out"), quantization_of(flags), flags.text("--compare"),
          device_of(flags).value_or(DeviceChoice())};
}

GenerateArgs generate_args(const Flags& flags) {
  GenerateArgs args;
  args.model = flags.text("--model");
  args.adapter = flags.text("--adapter");
  args.groups = flags.text("--groups");
  args.out = flags.text("--out");
  args.quantization = quantization_of(flags);
  args.num_return_sequences = flags.integer("--num-return-sequences", args.num_return_sequences, 1, limits::return_sequences_max);
  args.max_new_tokens = flags.integer("--max-new-tokens", args.max_new_tokens, 1, limits::positions_max);
  args.temperature = flags.number("--temperature", args.temperature, 0, 100);
  args.top_p = flags.number("--top-p", args.top_p, 0, 1);
  args.top_k = flags.integer("--top-k", args.top_k, 0, limits::vocab_size_max);
  args.min_p = flags.number("--min-p", args.min_p, 0, 1);
  args.repetition_penalty = flags.number("--repetition-penalty", args.repetition_penalty, 0.01, 100);
  args.seed = flags.integer("--seed", args.seed, 0, INT64_MAX);
  if (flags.has("--stop")) args.stop = parse_id_list("--stop", flags.text("--stop"));
  args.device = device_of(flags).value_or(DeviceChoice());
  return args;
}

ServeArgs serve_args(const Flags& flags) {
  ServeArgs args;
  args.model = flags.text("--model");
  args.quantization = quantization_of(flags);
  args.max_num_seqs = flags.integer("--max-num-seqs", args.max_num_seqs, 1, limits::return_sequences_max);
  if (flags.has("--cache-tokens")) args.cache_tokens = flags.integer("--cache-tokens", 0, 2, INT32_MAX);
  args.device = device_of(flags).value_or(DeviceChoice());
  return args;
}

BenchArgs bench_args(const Flags& flags) {
  BenchArgs args;
  args.job = flags.text("--job");
  args.completions = flags.integer("--completions", args.completions, 1, 1024);
  args.prompt_tokens = flags.integer("--prompt-tokens", args.prompt_tokens, 0, limits::positions_max);
  args.completion_tokens = flags.integer("--completion-tokens", args.completion_tokens, 2, limits::positions_max);
  args.steps = flags.integer("--steps", args.steps, 1, 1'000'000);
  args.device = device_of(flags);
  return args;
}

BenchGenerateArgs bench_generate_args(const Flags& flags) {
  BenchGenerateArgs args;
  args.model = flags.text("--model");
  args.quantization = quantization_of(flags);
  args.prompts = flags.integer("--prompts", args.prompts, 1, 1024);
  args.prompt_tokens = flags.integer("--prompt-tokens", args.prompt_tokens, 1, limits::positions_max);
  args.num_return_sequences = flags.integer("--num-return-sequences", args.num_return_sequences, 1, limits::return_sequences_max);
  args.max_new_tokens = flags.integer("--max-new-tokens", args.max_new_tokens, 3, limits::positions_max);
  args.device = device_of(flags).value_or(DeviceChoice());
  return args;
}

int train(const Flags& flags) {
  Job job = read_job(flags.positional[0]);
  job.device = device_of(flags).value_or(job.device);
  install_signal_handlers();
  return run_train(job);
}

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"init", "--config FILE --seed S --out DIR", {"--config", "--seed", "--out"}, {"--config", "--seed", "--out"}, 0,
       [](const Flags& f) { return run_init(f.text("--config"), f.integer("--seed", 0, 0, INT64_MAX), f.text("--out")); }},
      {"train", "JOB.json", {}, {}, 1, train},
      {"score", "--model DIR [--adapter DIR] [--quantize nf4|nf4-double|fp8] --groups F --out F [--compare F]",
       {"--model", "--adapter", "--quantize", "--groups", "--out", "--compare"},
       {"--model", "--groups", "--out"}, 0, [](const Flags& f) { return run_score(score_args(f)); }},
      {"generate",
       "--model DIR [--adapter DIR] [--quantize nf4|nf4-double|fp8] --groups F --out F [--num-return-sequences K] [--max-new-tokens N] [--temperature T] [--top-p P] "
       "[--top-k K] [--min-p M] [--repetition-penalty R] [--seed S] [--stop ID,ID|none]",
       {"--model", "--adapter", "--quantize", "--groups", "--out", "--num-return-sequences", "--max-new-tokens", "--temperature", "--top-p",
        "--top-k", "--min-p", "--repetition-penalty", "--seed", "--stop"},
       {"--model", "--groups", "--out"}, 0, [](const Flags& f) { return run_generate(generate_args(f)); }},
      {"inspect", "--model DIR [--job JOB.json]", {"--model", "--job"}, {"--model"}, 0,
       [](const Flags& f) { return run_inspect(f.text("--model"), f.text("--job")); }},
      {"devices", "", {}, {}, 0, [](const Flags&) { return run_devices(); }},
      {"bench", "--job JOB.json [--completions K] [--prompt-tokens N] [--completion-tokens N] [--steps N]",
       {"--job", "--completions", "--prompt-tokens", "--completion-tokens", "--steps"}, {"--job"}, 0,
       [](const Flags& f) { return run_bench(bench_args(f)); }},
      {"bench-generate",
       "--model DIR [--quantize nf4|nf4-double|fp8] [--prompts N] [--prompt-tokens N] [--num-return-sequences K] [--max-new-tokens N]",
       {"--model", "--quantize", "--prompts", "--prompt-tokens", "--num-return-sequences", "--max-new-tokens"}, {"--model"}, 0,
       [](const Flags& f) { return run_bench_generate(bench_generate_args(f)); }},
      {"merge", "--model DIR --adapter DIR [--quantize nf4|nf4-double|fp8] --out DIR", {"--model", "--adapter", "--quantize", "--out"}, {"--model", "--adapter", "--out"}, 0,
       [](const Flags& f) { return run_merge(f.text("--model"), f.text("--adapter"), f.text("--out"), quantization_of(f)); }},
      {"serve", "--model DIR [--quantize nf4|nf4-double|fp8] [--max-num-seqs N] [--cache-tokens N]",
       {"--model", "--quantize", "--max-num-seqs", "--cache-tokens"}, {"--model"}, 0, [](const Flags& f) { return run_serve(serve_args(f)); }}};
  return all;
}

void print_usage(FILE* out) {
  std::fprintf(out, "usage: concord-trainer COMMAND [--device auto|cpu|cuda[:N]]\n\n");
  for (const Command& command : commands()) std::fprintf(out, "  %-14s %s\n", command.name, command.usage);
}

void check_device(const std::string& command, const std::string& device) {
  static const std::set<std::string> have_gpu_code = {"train", "bench", "score", "generate", "bench-generate", "serve"};
  if (parse_device(device, "--device").cuda && !have_gpu_code.contains(command))
    bad_input("--device is " + in_quotes(device) + ", but " + command + " runs on the CPU");
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (name == command.name) return command;
    names.push_back(command.name);
  }
  const std::string near = nearest_name(name, names);
  bad_input("unknown command " + in_quotes(name) + (near.empty() ? "" : "; did you mean " + near + "?"));
}

int run(const std::string& name, const std::vector<std::string>& args) {
  const Command& command = find_command(name);
  if (args == std::vector<std::string>{"--help"}) {
    std::printf("usage: concord-trainer %s [--device auto|cpu|cuda[:N]] %s\n", command.name, command.usage);
    return exit_done;
  }
  std::vector<std::string> known = command.flags;
  known.push_back("--device");
  const Flags flags = parse_flags(args, known, command.required, command.n_positional, "JOB.json");
  check_device(name, flags.text("--device", "auto"));
  return command.run(flags);
}

// One line on stderr; newlines in foreign text must not make it two.
int report(int exit_code, const std::string& code, std::string message) {
  for (char& c : message)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  std::fprintf(stderr, "concord-trainer: %s (%s)\n", message.c_str(), code.c_str());
  return exit_code;
}

}  // namespace
}  // namespace concord

int main(int argc, char** argv) {
  using namespace concord;
  choose_blas_kernels(argv);
  if (argc < 2) {
    print_usage(stderr);
    return exit_bad_input;
  }
  const std::string name = argv[1];
  if (name == "--help" || name == "help") {
    print_usage(stdout);
    return exit_done;
  }
  try {
    return run(name, std::vector<std::string>(argv + 2, argv + argc));
  } catch (const Failure& failure) {
    return report(failure.exit_code, failure.code, failure.what());
  } catch (const std::bad_alloc&) {
    return report(exit_out_of_memory, "out_of_memory", "there is not enough free memory");
  } catch (const std::exception& error) {
    return report(1, "internal", error.what());
  }
}
