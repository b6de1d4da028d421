// The trainer as a user runs it: a process, its exit code and what it said.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "temp_dir.h"

struct Ran {
  int exit_code = -1;
  std::string out, err;
};

inline std::string quoted(const std::string& text) {
  std::string q(1, '\'');
  for (const char c : text) q += c == '\'' ? std::string("'\\''") : std::string(1, c);
  q.push_back('\'');
  return q;
}

// `environment` stands before the command: "CONCORD_THREADS=1".
inline Ran run_binary(const std::vector<std::string>& args, const std::string& environment = "") {
  TempDir dir;
  std::string command = environment + " " + quoted(CONCORD_BINARY);
  for (const auto& arg : args) command.append(" ").append(quoted(arg));
  const int status = std::system((command + " >" + quoted(dir / "out") + " 2>" + quoted(dir / "err")).c_str());
  Ran ran;
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ran.out = concord::read_file(dir / "out").text();
  ran.err = concord::read_file(dir / "err").text();
  return ran;
}
