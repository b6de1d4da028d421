#include "io/json.h"

#include <algorithm>
#include <charconv>

#include "error.h"
#include "io/limits.h"

namespace concord {
namespace {

struct Parser {
  std::string_view text;
  const std::string& file;
  size_t at = 0;
  int depth = 0;

  [[noreturn]] void fail(const std::string& why) const {
    const auto end = text.begin() + std::min(at, text.size());
    const auto line = 1 + std::count(text.begin(), end, '\n');
    bad_input(file + ": line " + std::to_string(line) + ": " + why);
  }

  bool done() const { return at >= text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }

  void skip_space() {
    while (!done() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) at++;
  }

  void expect(char c, const char* where) {
    if (peek() != c || done()) fail(std::string("expected '") + c + "' " + where + (done() ? ", but the text ends" : ""));
    at++;
  }

  Json literal(std::string_view word, Json v) {
    if (text.substr(at, word.size()) != word) fail("not a JSON value");
    at += word.size();
    return v;
  }

  Json parse_value() {
    skip_space();
    if (done()) fail("the text ends where a value is due");
    switch (text[at]) {
      case '{': return parse_object();
      case '[': return parse_array();
      case '"': return parse_string();
      case 't': return literal("true", true);
      case 'f': return literal("false", false);
      case 'n': return literal("null", nullptr);
      default: return parse_number();
    }
  }

  void enter() {
    at++;
    if (++depth > limits::json_depth_max)
      fail("nested deeper than " + std::to_string(limits::json_depth_max) + " levels");
    skip_space();
  }

  Json parse_array() {
    enter();
    Json::Array items;
    while (peek() != ']') {
      if (!items.empty()) expect(',', "between array items");
      items.push_back(parse_value());
      skip_space();
    }
    at++;
    depth--;
    return items;
  }

  Json parse_object() {
    enter();
    Json::Object members;
    while (peek() != '}') {
      if (!members.empty()) expect(',', "between members");
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = parse_string();
      skip_space();
      expect(':', "after a key");
      members.emplace_back(std::move(key), parse_value());
      skip_space();
    }
    check_unique(members);
    at++;
    depth--;
    return members;
  }

  // By sorting, so that a header of thousands of tensors stays cheap.
  void check_unique(const Json::Object& members) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin != keys.end()) fail("the key " + in_quotes(*twin) + " is given twice");
  }

  unsigned parse_hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; i++, at++) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) fail("\\u needs four hexadecimal digits");
      code = code * 16 + static_cast<unsigned>(digit);
    }
    return code;
  }

  unsigned parse_code_point() {
    const unsigned first = parse_hex4();
    if (first == 0) fail("a string holds the NUL character");
    if (first >= 0xDC00 && first < 0xE000) fail("a string holds half a surrogate pair");
    if (first < 0xD800 || first >= 0xE000) return first;
    if (text.substr(at, 2) != "\\u") fail("a string holds half a surrogate pair");
    at += 2;
    const unsigned second = parse_hex4();
    if (second < 0xDC00 || second >= 0xE000) fail("a string holds half a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  static void append_utf8(std::string& out, unsigned c) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xC0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 63));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xE0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    } else {
      out += static_cast<char>(0xF0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 63));
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    }
  }

  void parse_escape(std::string& out) {
    const char c = peek();
    at++;
    switch (c) {
      case '"': case '\\': case '/': out += c; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': append_utf8(out, parse_code_point()); return;
      default: at--; fail("unknown escape in a string");
    }
  }

  std::string parse_string() {
    at++;
    std::string out;
    for (;;) {
      if (done()) fail("a string does not end");
      const char c = text[at];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) fail("a string holds a control character that is not escaped");
      at++;
      if (c == '\\') parse_escape(out);
      else out += c;
    }
    at++;
    return out;
  }

  void skip_digits() {
    if (peek() < '0' || peek() > '9') fail("not a JSON value");
    while (peek() >= '0' && peek() <= '9') at++;
  }

  Json parse_number() {
    const size_t begin = at;
    bool is_integer = true;
    if (peek() == '-') at++;
    const bool leading_zero = peek() == '0';
    const size_t digits = at;
    skip_digits();
    if (leading_zero && at - digits > 1) fail("a number starts with 0");
    if (peek() == '.') {
      is_integer = false;
      at++;
      skip_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      is_integer = false;
      at++;
      if (peek() == '+' || peek() == '-') at++;
      skip_digits();
    }
    return number_from(text.substr(begin, at - begin), is_integer);
  }

  Json number_from(std::string_view token, bool is_integer) const {
    const char* end = token.data() + token.size();
    int64_t integer = 0;
    // An integer beyond 64 bits becomes a float, as in other readers; a getter that wants an integer then refuses it.
    if (is_integer && std::from_chars(token.data(), end, integer).ec == std::errc()) return integer;
    double number = 0;
    if (std::from_chars(token.data(), end, number).ec != std::errc()) fail("a number is out of range");
    return number;
  }
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, member] : object())
    if (name == key) return &member;
  return nullptr;
}

void Json::set(std::string_view key, Json v) {
  if (is_null()) value = Object{};
  auto& members = std::get<Object>(value);
  for (auto& [name, member] : members) {
    if (name != key) continue;
    member = std::move(v);
    return;
  }
  members.emplace_back(std::string(key), std::move(v));
}

Json parse_json(std::string_view text, const std::string& file) {
  Parser parser{text, file};
  if (text.starts_with("\xEF\xBB\xBF")) parser.fail("starts with a byte order mark; save it as UTF-8 without one");
  if (!is_utf8(text)) bad_input(file + ": is not valid UTF-8");
  Json json = parser.parse_value();
  parser.skip_space();
  if (!parser.done()) parser.fail("something follows the JSON value");
  return json;
}

// Rejects overlong forms, surrogates and anything above U+10FFFF.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
    const unsigned first = byte(i);
    const size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0) return false;
    for (size_t k = 1; k < length; k++)
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    const unsigned second = byte(i + 1);
    if (first == 0xE0 && second < 0xA0) return false;
    if (first == 0xED && second > 0x9F) return false;
    if (first == 0xF0 && second < 0x90) return false;
    if (first == 0xF4 && second > 0x8F) return false;
    i += length;
  }
  return true;
}

}  // namespace concord
