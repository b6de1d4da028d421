// The command line, strictly: unknown, repeated and valueless flags are refused by name.
// defines: Flags, parse_flags
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace concord {

struct Flags {
  std::map<std::string, std::string> values;  // "--out" -> "file"
  std::vector<std::string> positional;

  bool has(const std::string& name) const { return values.contains(name); }
  std::string text(const std::string& name, const std::string& otherwise = "") const;
  int64_t integer(const std::string& name, int64_t otherwise, int64_t min, int64_t max) const;
  double number(const std::string& name, double otherwise, double min, double max) const;
};

// `--name value` or `--name=value`; each known flag takes a value. Failure(2) names what is wrong.
Flags parse_flags(const std::vector<std::string>& args, const std::vector<std::string>& known,
                  const std::vector<std::string>& required, size_t n_positional, const std::string& positional_name);

// "none" -> {}, "1,2" -> {1, 2}; else Failure(2).
std::vector<int64_t> parse_id_list(const std::string& flag, const std::string& text);

}  // namespace concord
