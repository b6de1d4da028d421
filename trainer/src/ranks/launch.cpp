#include "ranks/launch.h"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "error.h"
#include "io/json.h"

namespace concord {
namespace {

constexpr int kRanksMax = 4096;
constexpr int kFirstPort = 20'000, kPorts = 12'000;  // below those that systems hand out by themselves

std::optional<int> number_of(const char* name, int least, int most) {
  const char* text = std::getenv(name);
  if (!text || !*text) return std::nullopt;
  const std::string_view digits = text;
  int n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size() || n < least || n > most)
    bad_input(std::string(name) + " must be a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ", not " + in_quotes(text));
  return n;
}

int port_for(const std::string& output_dir) {
  uint32_t hash = 2166136261;  // FNV-1a
  for (const char c : output_dir) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return kFirstPort + static_cast<int>(hash % kPorts);
}

}  // namespace

Launch launch_from_environment(const std::string& output_dir) {
  Launch launch;
  constexpr const char* names[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}, {"RANK", "WORLD_SIZE"}};
  for (const auto& [rank_name, size_name] : names) {
    const auto rank = number_of(rank_name, 0, kRanksMax - 1), size = number_of(size_name, 1, kRanksMax);
    if (!rank && !size) continue;
    if (!rank || !size) bad_input(std::string(rank ? rank_name : size_name) + " is set, but not " + (rank ? size_name : rank_name) + "; set both, or neither");
    if (*rank >= *size) bad_input(std::string(rank_name) + " is " + std::to_string(*rank) + ", but ranks go from 0 to " + std::to_string(*size - 1) + " (" + size_name + ")");
    launch.rank = *rank;
    launch.size = *size;
    break;
  }
  const char* address = std::getenv("MASTER_ADDR");
  launch.address = address && *address ? address : "127.0.0.1";
  launch.port = number_of("MASTER_PORT", 1, 65535).value_or(port_for(output_dir));
  return launch;
}

int rendezvous_seconds() { return number_of("CONCORD_RENDEZVOUS_SECONDS", 1, 86'400).value_or(120); }

}  // namespace concord
