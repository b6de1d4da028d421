// How values of a job are read: absent is the default, present must be right, and every refusal names its key.
// defines: steps_max, choice, path_of, given, read, require_above, require_below, refuse_unused
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "error.h"
#include "io/json.h"

namespace concord {

// A word of a closed list.
template <class T>
T choice(const JsonAt& at, const std::vector<std::pair<const char*, T>>& known) {
  const std::string& word = at.string();
  for (const auto& [name, value] : known)
    if (word == name) return value;
  std::string names;
  for (const auto& entry : known) names += (names.empty() ? "" : ", ") + std::string(entry.first);
  at.refuse("is " + in_quotes(word) + ", but must be one of: " + names);
}

inline std::string path_of(const JsonAt& at) {
  const std::string& path = at.string();
  if (path.empty()) at.refuse("is empty");
  if (path.size() > 4096) at.refuse("is longer than 4096 bytes");
  return path;
}

constexpr int64_t steps_max = 1'000'000'000;

// Keys whose default is "none" may be null, which is the same as leaving them out.
inline bool given(const JsonAt& at) { return !at.is_null(); }

// Absent is the default; present must be right, null included.
inline void read(const JsonAt& at, double& out, double min, double max) {
  if (at) out = at.number(min, max);
}
inline void read(const JsonAt& at, int64_t& out, int64_t min, int64_t max) {
  if (at) out = at.integer(min, max);
}
inline void read(const JsonAt& at, bool& out) {
  if (at) out = at.boolean();
}
inline void read(const JsonAt& at, std::optional<int64_t>& out, int64_t min, int64_t max) {
  if (given(at)) out = at.integer(min, max);
}
inline void require_above(const JsonAt& at, double value, double bound) {
  if (at && !(value > bound)) at.refuse("must be greater than " + to_text(Json(bound)));
}
inline void require_below(const JsonAt& at, double value, double bound) {
  if (at && !(value < bound)) at.refuse("must be less than " + to_text(Json(bound)));
}

// Each of `names` that is given is refused: it would have no effect, and silence would hide that.
inline void refuse_unused(const JsonAt& job, const std::string& by, const std::vector<const char*>& names) {
  for (const char* name : names)
    if (given(job[name])) job[name].refuse("is not used " + by);
}

}  // namespace concord
