#include "run/flags.h"

#include <algorithm>
#include <charconv>

#include "error.h"
#include "io/json.h"
#include "run/job_keys.h"

namespace concord {
namespace {

// The whole text as a T, else false.
template <class T>
bool read_whole(const std::string& text, T& out) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && at == end;
}

template <class T>
T ranged(const std::string& name, const std::string& text, T min, T max, const char* kind) {
  T value;
  if (!read_whole(text, value)) bad_input(name + " is " + in_quotes(text) + ", but must be " + kind);
  if (!(value >= min && value <= max))
    bad_input(name + " is " + text + ", but must be from " + to_text(Json(min)) + " to " + to_text(Json(max)));
  return value;
}

}  // namespace

std::string Flags::text(const std::string& name, const std::string& otherwise) const {
  return has(name) ? values.at(name) : otherwise;
}

int64_t Flags::integer(const std::string& name, int64_t otherwise, int64_t min, int64_t max) const {
  return has(name) ? ranged<int64_t>(name, values.at(name), min, max, "an integer") : otherwise;
}

double Flags::number(const std::string& name, double otherwise, double min, double max) const {
  return has(name) ? ranged<double>(name, values.at(name), min, max, "a number") : otherwise;
}

Flags parse_flags(const std::vector<std::string>& args, const std::vector<std::string>& known,
                  const std::vector<std::string>& required, size_t n_positional, const std::string& positional_name) {
  Flags flags;
  for (size_t i = 0; i < args.size(); i++) {
    if (!args[i].starts_with("--")) {
      if (flags.positional.size() == n_positional) bad_input("unexpected argument " + in_quotes(args[i]));
      flags.positional.push_back(args[i]);
      continue;
    }
    const size_t equals = args[i].find('=');
    const std::string name = args[i].substr(0, equals);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest_name(name, known);
      bad_input("unknown flag " + in_quotes(name) + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    if (equals == std::string::npos && i + 1 == args.size()) bad_input(name + " needs a value");
    const std::string value = equals == std::string::npos ? args[++i] : args[i].substr(equals + 1);
    if (equals == std::string::npos && value.starts_with("--")) bad_input(name + " needs a value, not the flag " + value);
    if (value.empty()) bad_input(name + " needs a value");
    if (!flags.values.emplace(name, value).second) bad_input(name + " is given twice");
  }
  for (const std::string& name : required)
    if (!flags.has(name)) bad_input(name + " is required");
  if (flags.positional.size() < n_positional) bad_input(positional_name + " is required");
  return flags;
}

std::vector<int64_t> parse_id_list(const std::string& flag, const std::string& text) {
  std::vector<int64_t> ids;
  if (text == "none") return ids;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    int64_t id;
    if (!read_whole(text.substr(at, comma - at), id) || id < 0)
      bad_input(flag + " is " + in_quotes(text) + ", but must be token ids joined by commas, or none");
    ids.push_back(id);
    at = comma + 1;
  }
  return ids;
}

}  // namespace concord
