// Files that appear whole or not at all. A full disk is Failure(5), anything else that fails is Failure(2) naming the path.
// defines: OpenFile, read_file, read_in_blocks, AtomicFile, write_file, make_dir, sync_dir, join_path
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace concord {

struct FileBytes {
  std::unique_ptr<std::byte[]> data;
  size_t size = 0;
  std::string_view text() const { return {reinterpret_cast<const char*>(data.get()), size}; }
};

// A regular file, open to be read. What it is read for is checked against the size that it had then: a file of another size later is
// Failure(2).
struct OpenFile {
  explicit OpenFile(const std::string& path);
  OpenFile(OpenFile&& other) noexcept;
  ~OpenFile();
  OpenFile& operator=(OpenFile&&) = delete;
  void read(size_t at, void* out, size_t bytes) const;  // exactly so many, from byte `at` on

  std::string path;
  size_t size = 0;
  int fd = -1;
};

// Reads a regular file into memory (no mmap: others may change the file). Longer than bytes_max is refused.
FileBytes read_file(const std::string& path, size_t bytes_max = SIZE_MAX);

// The same file in order, f(block) after f(block), never all of it in memory.
void read_in_blocks(const std::string& path, const std::function<void(std::string_view)>& f);

// Written beside its final name; commit() flushes, renames and flushes the folder. Without commit() nothing remains.
struct AtomicFile {
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void commit();

  std::string path, temp_path;
  int fd = -1;
};

void write_file(const std::string& path, std::string_view text);  // atomically
void make_dir(const std::string& path);                            // and its parents
void sync_dir(const std::string& path);
void remove_dir(const std::string& path);                          // with everything in it; absent is fine
bool path_exists(const std::string& path);
std::string join_path(const std::string& dir, std::string_view name);
std::string errno_text(int error);
// Throws Failure(5) for ENOSPC, EDQUOT and EFBIG, else Failure(2): "cannot <doing> <path>: <reason>".
[[noreturn]] void throw_io_error(int error, const std::string& doing, const std::string& path);

}  // namespace concord
