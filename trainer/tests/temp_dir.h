// A folder of one's own that goes away, and files in it.
#pragma once

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "io/files.h"
#include "io/safetensors.h"

struct TempDir {
  std::string path;
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "concord-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder");
    path = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string operator/(std::string_view name) const { return concord::join_path(path, name); }
  std::string write(std::string_view name, std::string_view text) const {
    concord::make_dir(std::filesystem::path(*this / name).parent_path().string());
    concord::write_file(*this / name, text);
    return *this / name;
  }
};

inline concord::FileBytes bytes_of(std::string_view text) {
  concord::FileBytes bytes{std::make_unique_for_overwrite<std::byte[]>(text.size() + 1), text.size()};
  std::memcpy(bytes.data.get(), text.data(), text.size());
  return bytes;
}

// A safetensors file with this header, whatever it says, and this many zero bytes of data.
inline std::string safetensors_text(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\0');
}

inline concord::SafetensorsFile parse_text(std::string_view text) {
  return concord::parse_safetensors(bytes_of(text), "x.safetensors");
}
