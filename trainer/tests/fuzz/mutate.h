// Damaged files, made from good ones by rules that a seed decides: what one machine finds, every machine finds.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "model/random.h"

namespace fuzz {

using concord::Random;

inline size_t pick(Random& random, size_t n) { return static_cast<size_t>(random.below(n)); }

inline const std::vector<std::string>& words() {
  static const std::vector<std::string> all = {
      "0", "-1", "1", "2", "255", "65536", "2147483647", "2147483648", "-2147483649", "4294967296", "9223372036854775807",
      "9223372036854775808", "-9223372036854775808", "18446744073709551616", "1e999", "-1e999", "1e-400", "0.5", "-0.0", "00", "1.", ".5",
      "1e", "NaN", "Infinity", "null", "true", "false", "{}", "[]", "[[[[[[[[[[[[[[[[[[", "{\"\":", "\"", "\\", "\\u0000", "\\ud800",
      "\\ud800\\udc00", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xef\xbb\xbf", ",", ":", "]", "}", "F32", "F16", "BF16", "I32", "I64", "U8",
      "BOOL", "F64", "__metadata__", "dtype", "shape", "data_offsets", "../x.safetensors", "a/b", "x.bin", std::string(1, '\0'),
      std::string(70'000, '7'), std::string(3'000, '[')};
  return all;
}

// The place of some number in the text, or of nothing.
inline std::pair<size_t, size_t> number_in(Random& random, const std::string& text) {
  const size_t from = text.find_first_of("0123456789", pick(random, text.size()));
  if (from == std::string::npos) return {0, 0};
  const size_t end = text.find_first_not_of("0123456789.eE+-", from);
  return {from, (end == std::string::npos ? text.size() : end) - from};
}

inline void mutate_once(Random& random, std::string& text, const std::string& other) {
  if (text.empty()) text = other;
  if (text.empty()) return;
  const size_t at = pick(random, text.size()), length = 1 + pick(random, std::min<size_t>(text.size() - at, 40));
  switch (random.below(10)) {
    case 0: text[at] = static_cast<char>(text[at] ^ 1 << random.below(8)); return;
    case 1: text[at] = static_cast<char>(random.below(256)); return;
    case 2: text.erase(at, length); return;
    case 3: text.insert(at, text.substr(pick(random, text.size()), length)); return;
    case 4: text.resize(at); return;
    case 5: text.insert(at, words()[pick(random, words().size())]); return;
    case 6: text = text.substr(0, at) + other.substr(std::min(at, other.size())); return;
    case 7: {  // a word of eight bytes, as offsets are
      const uint64_t value = std::vector<uint64_t>{0, 1, ~0ull, 1ull << 63, 1ull << 31, 1ull << 32, 7, random.next()}[pick(random, 8)];
      if (at + 8 <= text.size()) std::memcpy(text.data() + at / 4 * 4 % (text.size() - 7), &value, 8);
      return;
    }
    default: {
      const auto [from, n] = number_in(random, text);
      if (n > 0) text.replace(from, n, words()[pick(random, words().size())]);
    }
  }
}

// A safetensors file whose header length fits its header again, so that what lies behind that check is reached too.
inline std::string mutate_header(Random& random, const std::string& file, const std::string& other) {
  uint64_t length = 0;
  if (file.size() < 8) return file;
  std::memcpy(&length, file.data(), 8);
  if (length > file.size() - 8) return file;
  std::string header = file.substr(8, length), data = file.substr(8 + length);
  for (uint64_t i = 0; i <= random.below(3); i++) mutate_once(random, random.below(3) == 0 ? data : header, other);
  length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + data;
}

inline std::string mutate(Random& random, std::string file, const std::string& other, bool is_safetensors) {
  if (is_safetensors && random.below(3) > 0) return mutate_header(random, file, other);
  for (uint64_t i = 0; i <= random.below(3); i++) mutate_once(random, file, other);
  return file;
}

}  // namespace fuzz
