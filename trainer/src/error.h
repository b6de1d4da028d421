// One error type for the whole trainer: what went wrong, in one sentence, and the exit code of the contract.
#pragma once

#include <stdexcept>
#include <string>

namespace concord {

enum ExitCode {
  exit_done = 0,
  exit_bad_input = 2,
  exit_out_of_memory = 3,
  exit_non_finite = 4,
  exit_disk_full = 5,
  exit_rank_lost = 6,
  exit_interrupted = 130,
  exit_terminated = 143,
};

struct Failure : std::runtime_error {
  Failure(int exit_code, std::string code, const std::string& message)
      : std::runtime_error(message), exit_code(exit_code), code(std::move(code)) {}
  int exit_code;
  std::string code;  // stable, for programs: bad_input, out_of_memory, non_finite, disk_full, rank_lost, interrupted
};

// The job, a file or the model is wrong: one sentence naming the thing, the place and the remedy.
[[noreturn]] inline void bad_input(const std::string& message) {
  throw Failure(exit_bad_input, "bad_input", message);
}
[[noreturn]] inline void out_of_memory(const std::string& message) {
  throw Failure(exit_out_of_memory, "out_of_memory", message);
}
[[noreturn]] inline void non_finite(const std::string& message) {
  throw Failure(exit_non_finite, "non_finite", message);
}
[[noreturn]] inline void disk_full(const std::string& message) {
  throw Failure(exit_disk_full, "disk_full", message);
}

}  // namespace concord
