#include "run/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "error.h"
#include "io/limits.h"
#include "run/sha256.h"

namespace concord {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view prefix = "checkpoint-";
constexpr const char* manifest_name = "manifest.json";
constexpr const char* manifest_format = "checkpoint.v1";

// Files below dir as relative paths, sorted; manifest.json aside.
std::vector<std::string> files_below(const std::string& dir) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir))
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), dir).string());
  std::erase(files, manifest_name);
  std::sort(files.begin(), files.end());
  return files;
}

void flush_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_io_error(errno, "flush", path);
  const int result = fsync(fd), error = errno;
  close(fd);
  if (result != 0) throw_io_error(error, "flush", path);
}

void write_manifest(const std::string& dir, int64_t step) {
  Json::Object sums;
  for (const std::string& name : files_below(dir)) {
    flush_file(join_path(dir, name));
    sums.emplace_back(name, sha256_file_hex(join_path(dir, name)));
  }
  const Json manifest = Json::Object{{"format", manifest_format}, {"step", step}, {"sha256", std::move(sums)}};
  write_file(join_path(dir, manifest_name), to_pretty_text(manifest));
  for (const auto& entry : fs::recursive_directory_iterator(dir))
    if (entry.is_directory()) sync_dir(entry.path().string());
}

// The step of "checkpoint-<step>", or -1 for any other name.
int64_t step_of(std::string_view name) {
  if (!name.starts_with(prefix)) return -1;
  name.remove_prefix(prefix.size());
  int64_t step = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

// Checkpoint folders by step, newest first.
std::vector<std::pair<int64_t, std::string>> list_checkpoints(const std::string& output_dir) {
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir, error)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0 && entry.is_directory(error)) found.emplace_back(step, entry.path().string());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

void prune(const std::string& output_dir, int64_t save_total_limit, const std::string& keep) {
  if (save_total_limit <= 0) return;
  int64_t kept = 0;
  for (const auto& [step, dir] : list_checkpoints(output_dir)) {
    if (kept++ < save_total_limit || fs::path(dir).filename() == fs::path(keep).filename()) continue;
    // Renamed first: a removal cut short must not leave what looks like a checkpoint.
    const std::string away = join_path(output_dir, ".old-" + fs::path(dir).filename().string());
    remove_dir(away);
    if (rename(dir.c_str(), away.c_str()) != 0) throw_io_error(errno, "remove", dir);
    remove_dir(away);
  }
}

// Puts `temp` in the place of `final`; a folder already there (a torn one, or from an earlier run) gives way.
void move_into_place(const std::string& output_dir, const std::string& temp, const std::string& final) {
  const std::string away = join_path(output_dir, ".old-" + fs::path(final).filename().string());
  remove_dir(away);
  if (path_exists(final) && rename(final.c_str(), away.c_str()) != 0) throw_io_error(errno, "replace", final);
  if (rename(temp.c_str(), final.c_str()) != 0) throw_io_error(errno, "write", final);
  sync_dir(output_dir);
  remove_dir(away);
}

// A crash leaves temporary folders behind; only one trainer works in output_dir (EventLog's lock), so none is in use.
void remove_leftovers(const std::string& output_dir) {
  std::error_code error;
  std::vector<std::string> leftovers;
  for (const auto& entry : fs::directory_iterator(output_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".tmp-checkpoint-") || name.starts_with(".old-checkpoint-")) leftovers.push_back(entry.path().string());
  }
  for (const std::string& path : leftovers) remove_dir(path);
}

}  // namespace

std::string save_checkpoint(const std::string& output_dir, int64_t step, int64_t save_total_limit, const std::string& keep,
                            const std::function<void(const std::string& dir)>& write) {
  const std::string name = std::string(prefix) + std::to_string(step);
  const std::string final = join_path(output_dir, name), temp = join_path(output_dir, ".tmp-" + name);
  make_dir(output_dir);
  remove_leftovers(output_dir);
  make_dir(temp);
  try {
    write(temp);
    write_manifest(temp, step);
    move_into_place(output_dir, temp, final);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temp, ignored);
    throw;
  }
  prune(output_dir, save_total_limit, keep);
  return final;
}

std::string checkpoint_problem(const std::string& dir) {
  try {
    const std::string path = join_path(dir, manifest_name);
    const Json manifest = parse_json(read_file(path, limits::config_bytes_max).text(), path);
    const JsonAt at{&manifest, path, ""};
    if (at["format"].string() != manifest_format) at["format"].refuse("is not " + std::string(manifest_format));
    for (const auto& [name, sum] : at["sha256"].object()) {
      if (name.find("..") != std::string::npos || name.starts_with("/")) return path + ": names a file outside the folder";
      if (!sum.is_string() || sha256_file_hex(join_path(dir, name)) != std::get<std::string>(sum.value))
        return join_path(dir, name) + ": was changed or cut off after it was saved";
    }
    return "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

std::string find_checkpoint(const std::string& output_dir) {
  for (const auto& [step, dir] : list_checkpoints(output_dir)) {
    const std::string problem = checkpoint_problem(dir);
    if (problem.empty()) return dir;
    std::fprintf(stderr, "passing over %s: %s\n", dir.c_str(), problem.c_str());
  }
  return "";
}

void write_training_state(const std::string& dir, const Json& values, const std::vector<TensorOut>& optimizer) {
  write_safetensors(join_path(dir, "optimizer.safetensors"), optimizer, {{"format", manifest_format}});
  write_file(join_path(dir, "training_state.json"), to_pretty_text(values));
}

TrainingState read_training_state(const std::string& dir) {
  const std::string path = join_path(dir, "training_state.json");
  TrainingState state;
  state.values = parse_json(read_file(path, limits::config_bytes_max).text(), path);
  state.optimizer = read_safetensors(join_path(dir, "optimizer.safetensors"));
  return state;
}

}  // namespace concord
