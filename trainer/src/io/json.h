// JSON, strictly: RFC 8259, UTF-8, no duplicate keys, at most limits::json_depth_max levels, integers apart from floats.
// defines: Json, JsonAt, parse_json, to_text
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace concord {

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in file order; keys are unique

  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> value = nullptr;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool v) : value(v) {}
  Json(int v) : value(int64_t{v}) {}
  Json(int64_t v) : value(v) {}
  Json(size_t v) : value(static_cast<int64_t>(v)) {}
  Json(double v) : value(v) {}
  Json(const char* v) : value(std::string(v)) {}
  Json(std::string_view v) : value(std::string(v)) {}
  Json(std::string v) : value(std::move(v)) {}
  Json(Array v) : value(std::move(v)) {}
  Json(Object v) : value(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }
  bool is_bool() const { return std::holds_alternative<bool>(value); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value); }
  bool is_string() const { return std::holds_alternative<std::string>(value); }
  bool is_array() const { return std::holds_alternative<Array>(value); }
  bool is_object() const { return std::holds_alternative<Object>(value); }

  const Object& object() const { return std::get<Object>(value); }
  const Array& array() const { return std::get<Array>(value); }

  // The member of an object, or null pointer.
  const Json* find(std::string_view key) const;
  // Sets or replaces a member; a null value becomes an object.
  void set(std::string_view key, Json v);
};

// A value together with where it came from, so that every error names file and key path: `config.json: rope_scaling.factor`.
// A getter on the wrong kind throws Failure(2). `[]` on an absent key gives an absent JsonAt; getters on it say "is missing".
struct JsonAt {
  const Json* json = nullptr;  // null pointer: absent
  std::string file;            // shown in front, e.g. the path
  std::string path;            // key path inside the file

  explicit operator bool() const { return json != nullptr; }
  bool is_null() const { return json == nullptr || json->is_null(); }
  JsonAt operator[](std::string_view key) const;
  JsonAt operator[](size_t i) const;

  bool boolean() const;
  int64_t integer(int64_t min, int64_t max) const;  // 3.0 and "3" are refused
  double number(double min, double max) const;      // integers are numbers
  const std::string& string() const;
  const Json::Array& array() const;
  const Json::Object& object() const;

  [[noreturn]] void refuse(const std::string& why) const;  // Failure(2): "<file>: <path> <why>"
};

// Throws Failure(2) naming `file` and the line on anything that is not JSON as above.
Json parse_json(std::string_view text, const std::string& file);

// One line, UTF-8; doubles in their shortest form that reads back the same; NaN and infinities become null.
std::string to_text(const Json& json);
// Indented by two spaces, for files that people read.
std::string to_pretty_text(const Json& json);

bool is_utf8(std::string_view text);
// Foreign text for a one-line message: in quotes, control characters escaped, cut after 80 bytes.
std::string in_quotes(std::string_view text);

}  // namespace concord
