// Reading config.json, where transformers leaves out or nulls what has its default.
#pragma once

#include "io/json.h"

namespace concord {

inline int64_t integer_or(const JsonAt& at, const char* key, int64_t fallback, int64_t min, int64_t max) {
  return at[key].is_null() ? fallback : at[key].integer(min, max);
}
inline double number_or(const JsonAt& at, const char* key, double fallback, double min, double max) {
  return at[key].is_null() ? fallback : at[key].number(min, max);
}
inline bool boolean_or(const JsonAt& at, const char* key, bool fallback) {
  return at[key].is_null() ? fallback : at[key].boolean();
}
// Where null says "none" and only an absent key has the default.
inline int64_t integer_unless_null(const JsonAt& at, const char* key, int64_t absent, int64_t null, int64_t min, int64_t max) {
  return at[key] ? integer_or(at, key, null, min, max) : absent;
}
inline double number_unless_null(const JsonAt& at, const char* key, double absent, double null, double min, double max) {
  return at[key] ? number_or(at, key, null, min, max) : absent;
}

}  // namespace concord
