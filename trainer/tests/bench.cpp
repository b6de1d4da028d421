#include <filesystem>

#include "tiny_run.h"

using namespace concord;

TEST("bench: one JSON object, and nothing of the job's own is touched") {
  TinyRun tiny;
  const std::string job = tiny.job("out", {{"objective", "dpo"}, {"r", 4}});
  const Ran ran = run_binary({"bench", "--job", job, "--completions", "3", "--prompt-tokens", "5", "--completion-tokens", "7", "--steps", "3"});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  const Json json = parse_json(ran.out, "bench");
  CHECK_EQ(event_number(json, "tokens_per_step"), 2.0 * (5 + 3 * 7));
  for (const char* key : {"parameters", "trainable_parameters", "tokens_per_second", "seconds_per_step", "peak_memory_bytes"})
    CHECK(event_number(json, key) > 0);
  CHECK(!path_exists(tiny.dir / "out"));
}

TEST("bench: pairs need two completions; a model that is not there is named") {
  TinyRun tiny;
  const Ran one = run_binary({"bench", "--job", tiny.job("out", {{"objective", "dpo"}}), "--completions", "1"});
  CHECK_EQ(one.exit_code, 2);
  CHECK(one.err.find("--completions must be 2 or more") != std::string::npos);
  const Ran none = run_binary({"bench", "--job", tiny.job("out", {{"objective", "sft"}, {"model_name_or_path", "/nowhere"}})});
  CHECK_EQ(none.exit_code, 2);
  CHECK(none.err.find("/nowhere") != std::string::npos);
}
