#include <cmath>

#include "error.h"
#include "io/json.h"

namespace concord {
namespace {

// "is missing" for an absent value, else what it is instead of what is due.
[[noreturn]] void refuse_kind(const JsonAt& at, const std::string& due) {
  if (at.json == nullptr) at.refuse("is missing");
  std::string shown = at.json->is_object() ? "an object" : at.json->is_array() ? "an array" : to_text(*at.json);
  if (shown.size() > 60) shown = in_quotes(shown);
  at.refuse("must be " + due + ", not " + shown);
}

// 3 rather than 3.0 in "must be from 0 to 3".
std::string shown(double v) {
  if (std::isinf(v)) return v > 0 ? "infinity" : "-infinity";
  const bool whole = std::abs(v) < 1e15 && v == std::floor(v);
  return to_text(whole ? Json(static_cast<int64_t>(v)) : Json(v));
}

// A key as a path shows it: as it is, in quotes where it is long or has characters that need escaping.
std::string step(std::string_view key) {
  std::string quoted = in_quotes(key);
  return quoted.size() == key.size() + 2 && quoted.substr(1, key.size()) == key ? std::string(key) : quoted;
}

}  // namespace

JsonAt JsonAt::operator[](std::string_view key) const {
  return {json ? json->find(key) : nullptr, file, path.empty() ? step(key) : path + "." + step(key)};
}

JsonAt JsonAt::operator[](size_t i) const {
  const bool inside = json && json->is_array() && i < json->array().size();
  return {inside ? &json->array()[i] : nullptr, file, path + "[" + std::to_string(i) + "]"};
}

bool JsonAt::boolean() const {
  if (!json || !json->is_bool()) refuse_kind(*this, "true or false");
  return std::get<bool>(json->value);
}

int64_t JsonAt::integer(int64_t min, int64_t max) const {
  if (!json || !json->is_integer()) refuse_kind(*this, "an integer");
  const int64_t v = std::get<int64_t>(json->value);
  if (v < min || v > max)
    refuse("is " + std::to_string(v) + ", but must be from " + std::to_string(min) + " to " + std::to_string(max));
  return v;
}

double JsonAt::number(double min, double max) const {
  if (!json || !json->is_number()) refuse_kind(*this, "a number");
  const double v = json->is_integer() ? static_cast<double>(std::get<int64_t>(json->value)) : std::get<double>(json->value);
  if (!(v >= min && v <= max)) refuse("is " + to_text(*json) + ", but must be from " + shown(min) + " to " + shown(max));
  return v;
}

const std::string& JsonAt::string() const {
  if (!json || !json->is_string()) refuse_kind(*this, "a string");
  return std::get<std::string>(json->value);
}

const Json::Array& JsonAt::array() const {
  if (!json || !json->is_array()) refuse_kind(*this, "an array");
  return json->array();
}

const Json::Object& JsonAt::object() const {
  if (!json || !json->is_object()) refuse_kind(*this, "an object");
  return json->object();
}

void JsonAt::refuse(const std::string& why) const {
  bad_input(file + ": " + (path.empty() ? "the file" : path) + " " + why);
}

}  // namespace concord
