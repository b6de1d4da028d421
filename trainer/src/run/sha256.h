// SHA-256 (FIPS 180-4), for manifests of checkpoints and keys of caches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace concord {

class Sha256 {
 public:
  void update(std::string_view bytes);
  std::string hex();  // once, at the end

 private:
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_;
  size_t waiting_ = 0;  // bytes of block_ not yet compressed
  uint64_t bytes_ = 0;
};

std::string sha256_hex(std::string_view bytes);
std::string sha256_file_hex(const std::string& path);

}  // namespace concord
