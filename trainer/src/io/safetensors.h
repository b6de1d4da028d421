// safetensors, read with distrust and written atomically.
// Layout: u64 little-endian header length, JSON header {name: {dtype, shape, data_offsets}}, then the data without gaps.
// defines: TensorView, SafetensorsFile, read_safetensors, parse_safetensors, to_f32, TensorOut, write_safetensors
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/dtype.h"
#include "io/files.h"

namespace concord {

// Points into the SafetensorsFile that holds it; row-major, little-endian.
struct TensorView {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  size_t bytes = 0;

  int64_t elements() const;
};

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

// F64, F32, F16, BF16 as floats; other dtypes are refused naming the tensor.
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
};
// Tensors are laid out in the order given (names must be unique). Atomic.
void write_safetensors(const std::string& path, const std::vector<TensorOut>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace concord
