// safetensors, read with distrust and written atomically.
// Layout: u64 little-endian header length, JSON header {name: {dtype, shape, data_offsets}}, then the data without gaps.
// defines: TensorInfo, SafetensorsHeader, OpenSafetensors, TensorView, SafetensorsFile, to_f32, TensorOut, write_safetensors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/dtype.h"
#include "io/files.h"

namespace concord {

struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  size_t begin = 0, bytes = 0;  // where its elements lie in the file; row-major, little-endian

  int64_t elements() const;
};

// Checked: the tensors cover what lies behind the header exactly.
struct SafetensorsHeader {
  std::string path;  // named in errors
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<TensorInfo> tensors;  // sorted by name
};

// A file of which the header is read, and the tensors are not yet.
struct OpenSafetensors {
  OpenFile file;
  SafetensorsHeader header;
};
OpenSafetensors open_safetensors(const std::string& path);

// Points into the SafetensorsFile that holds it.
struct TensorView : TensorInfo {
  const std::byte* data = nullptr;
};

// A small file, all of it in memory.
struct SafetensorsFile {
  std::string path;  // named in errors
  FileBytes bytes;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<TensorView> tensors;  // sorted by name

  const TensorView* find(std::string_view name) const;
  const std::string* find_metadata(std::string_view key) const;
};

SafetensorsFile read_safetensors(const std::string& path);
// The same checks on bytes already in memory; `path` is for messages.
SafetensorsFile parse_safetensors(FileBytes bytes, const std::string& path);

// `n` elements as floats, from bytes that may lie unaligned. F64, F32, F16, BF16; other dtypes are refused naming the tensor.
void to_f32(const TensorInfo& tensor, const std::byte* bytes, size_t n, float* out);
// All of it.
std::vector<float> to_f32(const TensorView& view);
void to_f32(const TensorView& view, float* out);
// Copies an integer tensor; the dtype must match exactly (I32, I64, U8), else refused naming the tensor.
std::vector<int32_t> to_i32(const TensorView& view);
std::vector<int64_t> to_i64(const TensorView& view);
std::vector<uint8_t> to_u8(const TensorView& view);
std::string shape_text(const std::vector<int64_t>& shape);  // "[4, 64]"

struct TensorOut {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  const void* data;  // elements of `dtype`, or floats to be rounded if `from_f32`
  bool from_f32 = false;
  // Instead of `data`: makes the floats when it is their turn, so that one tensor at a time is in memory.
  std::function<std::vector<float>()> make = {};
};
// Tensors are laid out in the order given (names must be unique). Atomic.
void write_safetensors(const std::string& path, const std::vector<TensorOut>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace concord
