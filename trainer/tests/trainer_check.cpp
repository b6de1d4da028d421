// trainer-check, which whoever has a GPU for half an hour runs: rehearsed from the first part to the table.
#include "run_binary.h"

#include "check.h"

using namespace concord;

TEST("trainer-check --rehearse: every part, a line for every figure, the table") {
  const TempDir dir;
  const std::string check = quoted(CONCORD_SOURCE_DIR "/trainer-check"), out = dir / "out";
  if (std::system("python3 --version >/dev/null 2>&1") != 0) SKIP("needs python3");
  const std::string environment = "CONCORD_CHECK_DIR=" + quoted(dir / "work") + " CONCORD_CHECK_BUILD=" + quoted(CONCORD_BUILD_DIR);
  const int status = std::system((environment + " python3 " + check + " --rehearse >" + quoted(out) + " 2>&1").c_str());
  const std::string said(read_file(out).text());
  if (status != 0) throw std::runtime_error(said.substr(said.size() > 2'000 ? said.size() - 2'000 : 0));
  for (const char* part : {"build", "parity", "sanitizer", "models", "sft_8b", "dpo_8b", "dpo_8b_memory", "dpo_8b_4way", "dpo_8b_nf4", "dpo_8b_fp8", "dpo_05b", "generate_8b", "peers"})
    if (said.find("\n" + std::string(part) + " ") == std::string::npos) throw std::runtime_error("nothing is said of " + std::string(part));
  const std::string results(read_file(dir / "work/results.jsonl").text()), table(read_file(dir / "work/RESULTS.md").text());
  for (const char* key : {"sft_8b_tokens_per_second", "dpo_8b_pairs_per_second", "dpo_8b_4way_pairs_per_second", "dpo_05b_pairs_per_second", "dpo_8b_peak_gb", "dpo_8b_nf4_peak_gb",
                          "dpo_8b_fp8_peak_gb", "generate_8b_bandwidth_fraction"})
    CHECK(results.find("\"" + std::string(key) + "\"") != std::string::npos);
  CHECK(table.find("a GPU made of the CPU") != std::string::npos);
  CHECK(std::system((environment + " python3 " + check + " --rehearse nothing >/dev/null 2>&1").c_str()) != 0);
}
