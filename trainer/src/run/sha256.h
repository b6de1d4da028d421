// SHA-256 (FIPS 180-4), for manifests of checkpoints.
#pragma once

#include <string>
#include <string_view>

namespace concord {

std::string sha256_hex(std::string_view bytes);
std::string sha256_file_hex(const std::string& path);

}  // namespace concord
