#include "io/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "error.h"
#include "io/json.h"

namespace concord {
namespace fs = std::filesystem;

std::string errno_text(int error) { return std::strerror(error); }

void throw_io_error(int error, const std::string& doing, const std::string& path) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    disk_full("the disk is full: cannot " + doing + " " + path + " (" + errno_text(error) + "); free some space and start again");
  bad_input("cannot " + doing + " " + path + ": " + errno_text(error));
}

// O_NONBLOCK: opening a FIFO must not hang; a regular file does not notice.
OpenFile::OpenFile(const std::string& path) : path(path), fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd < 0) throw_io_error(errno, "read", path);
  struct stat info;
  const int error = fstat(fd, &info) != 0 ? errno : 0;
  if (error == 0 && S_ISREG(info.st_mode)) {
    size = static_cast<size_t>(info.st_size);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);  // so that the system reads further ahead; advice, no more
    return;
  }
  close(fd);
  if (error != 0) throw_io_error(error, "read", path);
  bad_input("cannot read " + path + ": not a regular file");
}

OpenFile::OpenFile(OpenFile&& other) noexcept : path(std::move(other.path)), size(other.size), fd(std::exchange(other.fd, -1)) {}

OpenFile::~OpenFile() {
  if (fd >= 0) close(fd);
}

void OpenFile::read(size_t at, void* out, size_t bytes) const {
  std::byte* to = static_cast<std::byte*>(out);
  while (bytes > 0) {
    const ssize_t got = pread(fd, to, std::min<size_t>(bytes, 1 << 30), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io_error(errno, "read", path);
    if (got == 0) break;
    to += got;
    at += static_cast<size_t>(got);
    bytes -= static_cast<size_t>(got);
  }
  struct stat info;
  if (fstat(fd, &info) != 0) throw_io_error(errno, "read", path);
  if (bytes > 0 || static_cast<size_t>(info.st_size) != size)
    bad_input(path + ": changed its length while it was read, from " + std::to_string(size) + " to " + std::to_string(info.st_size) +
              " bytes; start again when it is whole");
}

FileBytes read_file(const std::string& path, size_t bytes_max) {
  const OpenFile from(path);
  if (from.size > bytes_max)
    bad_input(path + ": has " + std::to_string(from.size) + " bytes, more than the " + std::to_string(bytes_max) + " allowed");
  FileBytes file;
  file.size = from.size;
  try {
    file.data = std::make_unique_for_overwrite<std::byte[]>(std::max<size_t>(file.size, 1));
  } catch (const std::bad_alloc&) {
    out_of_memory(path + ": needs " + std::to_string(file.size) + " bytes of memory, which are not free");
  }
  from.read(0, file.data.get(), file.size);
  return file;
}

void read_in_blocks(const std::string& path, const std::function<void(std::string_view)>& f) {
  const OpenFile from(path);
  std::vector<char> block(1 << 20);
  for (size_t at = 0; at < from.size;) {
    const size_t bytes = std::min(from.size - at, block.size());
    from.read(at, block.data(), bytes);
    f({block.data(), bytes});
    at += bytes;
  }
}

AtomicFile::AtomicFile(const std::string& path)
    : path(path), temp_path(path + ".tmp-" + std::to_string(getpid())) {
  fd = open(temp_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) throw_io_error(errno, "write", path);
}

AtomicFile::~AtomicFile() {
  if (fd < 0) return;
  close(fd);
  unlink(temp_path.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t wrote = ::write(fd, at, std::min<size_t>(bytes, 1 << 30));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw_io_error(errno, "write", path);
    at += wrote;
    bytes -= static_cast<size_t>(wrote);
  }
}

void AtomicFile::commit() {
  if (fsync(fd) != 0) throw_io_error(errno, "flush", path);
  if (rename(temp_path.c_str(), path.c_str()) != 0) throw_io_error(errno, "write", path);
  close(fd);
  fd = -1;
  sync_dir(fs::path(path).parent_path().string());
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

void make_dir(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && fs::is_directory(path)) return;
  throw_io_error(error ? error.value() : ENOTDIR, "make the folder", path);
}

void sync_dir(const std::string& path) {
  const std::string dir = path.empty() ? "." : path;
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_io_error(errno, "flush the folder", dir);
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0 && error != EINVAL) throw_io_error(error, "flush the folder", dir);  // EINVAL: not offered here
}

void remove_dir(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_io_error(error.value(), "remove", path);
}

bool path_exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string join_path(const std::string& dir, std::string_view name) { return (fs::path(dir) / name).string(); }

}  // namespace concord
