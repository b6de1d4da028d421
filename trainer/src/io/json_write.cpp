#include <charconv>
#include <cmath>

#include "io/json.h"

namespace concord {
namespace {

void append_string(std::string& out, std::string_view text) {
  static const char* hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += hex[c >> 4 & 15];
      out += hex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_number(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char buffer[32];
  const std::string_view token(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr - buffer);
  out += token;
  if (token.find_first_of(".e") == token.npos) out += ".0";  // stays a float when read again
}

void append_json(std::string& out, const Json& json, int indent, int depth) {
  const auto new_line = [&](int level) {
    if (indent > 0) out += '\n' + std::string(static_cast<size_t>(indent * level), ' ');
  };
  if (json.is_null()) {
    out += "null";
  } else if (const auto* boolean = std::get_if<bool>(&json.value)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<int64_t>(&json.value)) {
    out += std::to_string(*integer);
  } else if (const auto* number = std::get_if<double>(&json.value)) {
    append_number(out, *number);
  } else if (const auto* text = std::get_if<std::string>(&json.value)) {
    append_string(out, *text);
  } else if (const auto* items = std::get_if<Json::Array>(&json.value)) {
    out += '[';
    for (size_t i = 0; i < items->size(); i++) {
      if (i > 0) out += indent > 0 ? ", " : ",";
      append_json(out, (*items)[i], 0, depth + 1);
    }
    out += ']';
  } else {
    const auto& members = json.object();
    out += '{';
    for (size_t i = 0; i < members.size(); i++) {
      if (i > 0) out += ',';
      new_line(depth + 1);
      append_string(out, members[i].first);
      out += indent > 0 ? ": " : ":";
      append_json(out, members[i].second, indent, depth + 1);
    }
    if (!members.empty()) new_line(depth);
    out += '}';
  }
}

}  // namespace

std::string to_text(const Json& json) {
  std::string out;
  append_json(out, json, 0, 0);
  return out;
}

std::string to_pretty_text(const Json& json) {
  std::string out;
  append_json(out, json, 2, 0);
  return out + '\n';
}

std::string in_quotes(std::string_view text) {
  const size_t length_max = 80;
  std::string_view shown = text.substr(0, length_max);
  while (shown.size() < text.size() && !shown.empty() && (text[shown.size()] & 0xC0) == 0x80) shown.remove_suffix(1);
  std::string out;
  append_string(out, shown);
  if (shown.size() < text.size()) out.insert(out.size() - 1, "…");
  return out;
}

}  // namespace concord
