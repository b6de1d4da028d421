#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "error.h"
#include "io/json.h"
#include "io/limits.h"

namespace concord {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian and is used in place");

// PyTorch's formats: a zip archive, or a bare pickle. Loading one can run code, so they are named rather than misread.
void refuse_pickle(std::string_view text, const std::string& path) {
  const bool zip = text.starts_with("PK\x03\x04");
  const bool pickle = text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5 && text[2] != '\0';
  if (zip || pickle) bad_input(path + ": is a pickle file, which can run code; convert it to safetensors");
}

// The length of the JSON header, checked against the file and the limit. `start`: the file's first 8 bytes.
size_t header_length(std::string_view start, uint64_t file_bytes, const std::string& path) {
  refuse_pickle(start, path);
  if (file_bytes < 8) bad_input(path + ": is too short for a safetensors file (" + std::to_string(file_bytes) + " bytes)");
  uint64_t length;
  std::memcpy(&length, start.data(), 8);
  if (length > limits::header_bytes_max)
    bad_input(path + ": its header claims " + std::to_string(length) + " bytes, more than the " +
              std::to_string(limits::header_bytes_max) + " allowed; is it a safetensors file?");
  if (length > file_bytes - 8) bad_input(path + ": is cut off inside its header");
  if (length < 2) bad_input(path + ": has no header");
  return static_cast<size_t>(length);
}

void read_metadata(const JsonAt& at, SafetensorsHeader& file) {
  size_t total = 0;
  for (const auto& [key, value] : at.object()) {
    const std::string& text = at[key].string();
    total += key.size() + text.size();
    file.metadata.emplace_back(key, text);
  }
  if (total > limits::metadata_bytes_max)
    at.refuse("has " + std::to_string(total) + " bytes, more than the " + std::to_string(limits::metadata_bytes_max) + " allowed");
}

struct Entry {
  TensorInfo tensor;
  uint64_t begin = 0, end = 0;  // within the data
};

// The size in bytes that dtype and shape ask for; refuses what does not fit 63 bits.
uint64_t expected_bytes(const JsonAt& at, DType dtype, const std::vector<int64_t>& shape) {
  uint64_t bytes = dtype_bytes(dtype);
  for (const int64_t dim : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes) || bytes > INT64_MAX)
      at.refuse("has the shape " + shape_text(shape) + ", which is too large to exist");
  return bytes;
}

Entry read_entry(const JsonAt& at, const std::string& name) {
  for (const auto& member : at.object())
    if (member.first != "dtype" && member.first != "shape" && member.first != "data_offsets")
      at.refuse("has the unknown key " + in_quotes(member.first));
  const auto dtype = dtype_from_name(at["dtype"].string());
  if (!dtype) at["dtype"].refuse("is " + in_quotes(at["dtype"].string()) + ", which is not supported");
  const JsonAt dims = at["shape"], offsets = at["data_offsets"];
  std::vector<int64_t> shape;
  if (dims.array().size() > limits::dims_max) dims.refuse("has more than " + std::to_string(limits::dims_max) + " dimensions");
  for (size_t i = 0; i < dims.array().size(); i++) shape.push_back(dims[i].integer(0, INT64_MAX));
  if (offsets.array().size() != 2) offsets.refuse("must hold two numbers");
  // Member by member: g++ 12 destroys a nested aggregate twice when an initialiser after it throws.
  Entry entry;
  entry.begin = static_cast<uint64_t>(offsets[size_t{0}].integer(0, INT64_MAX));
  entry.end = static_cast<uint64_t>(offsets[size_t{1}].integer(0, INT64_MAX));
  entry.tensor.name = name;
  entry.tensor.dtype = *dtype;
  entry.tensor.shape = shape;
  if (entry.end < entry.begin) offsets.refuse("ends before it begins");
  const uint64_t expected = expected_bytes(at, *dtype, shape);
  if (entry.end - entry.begin != expected)
    offsets.refuse("spans " + std::to_string(entry.end - entry.begin) + " bytes, but " + std::string(dtype_name(*dtype)) + " " +
                   shape_text(shape) + " needs " + std::to_string(expected));
  return entry;
}

// In order of their place the tensors must cover the data exactly: no gap, no overlap, nothing behind.
void place_tensors(std::vector<Entry>& entries, uint64_t data_begin, uint64_t data_bytes, SafetensorsHeader& file) {
  std::sort(entries.begin(), entries.end(), [](const Entry& x, const Entry& y) {
    return std::pair(x.begin, x.end) < std::pair(y.begin, y.end);
  });
  uint64_t at = 0;
  for (Entry& entry : entries) {
    const std::string who = file.path + ": tensor " + in_quotes(entry.tensor.name);
    if (entry.begin > at) bad_input(who + " leaves a gap of unused bytes before it");
    if (entry.begin < at) bad_input(who + " overlaps the one before it");
    if (entry.end > data_bytes) bad_input(who + " lies beyond the end of the file; the file is cut off");
    at = entry.end;
    entry.tensor.begin = static_cast<size_t>(data_begin + entry.begin);
    entry.tensor.bytes = static_cast<size_t>(entry.end - entry.begin);
    file.tensors.push_back(std::move(entry.tensor));
  }
  if (at != data_bytes) bad_input(file.path + ": has " + std::to_string(data_bytes - at) + " bytes after its last tensor");
  std::sort(file.tensors.begin(), file.tensors.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
}

// `text`: what the header says, behind the 8 bytes of its length.
SafetensorsHeader parse_header(std::string_view text, uint64_t file_bytes, const std::string& path) {
  SafetensorsHeader file;
  file.path = path;
  if (text[0] != '{') bad_input(path + ": its header does not begin with '{'; is it a safetensors file?");
  const Json header = parse_json(text, path);
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.object()) {
    const JsonAt at{&value, path, "tensor " + in_quotes(name)};
    if (name == "__metadata__") {
      read_metadata({&value, path, name}, file);
      continue;
    }
    if (entries.size() == limits::tensors_max)
      bad_input(path + ": has more than " + std::to_string(limits::tensors_max) + " tensors");
    entries.push_back(read_entry(at, name));
  }
  const uint64_t data_begin = 8 + text.size();
  place_tensors(entries, data_begin, file_bytes - data_begin, file);
  return file;
}

template <class T>
std::vector<T> copy_exact(const TensorView& view, DType dtype) {
  if (view.dtype != dtype)
    bad_input("tensor " + in_quotes(view.name) + " is " + std::string(dtype_name(view.dtype)) + ", but must be " +
              std::string(dtype_name(dtype)));
  std::vector<T> out(view.bytes / sizeof(T));
  if (view.bytes > 0) std::memcpy(out.data(), view.data, view.bytes);
  return out;
}

// out[i] = f(element i) over elements of T, which may lie unaligned.
template <class T, class F>
void convert(const std::byte* bytes, size_t n, float* out, F f) {
  for (size_t i = 0; i < n; i++) {
    T element;
    std::memcpy(&element, bytes + i * sizeof(T), sizeof(T));
    out[i] = f(element);
  }
}

size_t out_bytes(const TensorOut& tensor) {
  size_t bytes = dtype_bytes(tensor.dtype);
  for (const int64_t dim : tensor.shape) bytes *= static_cast<size_t>(dim);
  return bytes;
}

std::string header_text(const std::vector<TensorOut>& tensors, const std::vector<std::pair<std::string, std::string>>& metadata) {
  Json header = Json::Object{};
  Json labels = Json::Object{};
  for (const auto& [key, value] : metadata) labels.set(key, value);
  if (!metadata.empty()) header.set("__metadata__", labels);
  size_t at = 0;
  auto& members = std::get<Json::Object>(header.value);
  for (const TensorOut& tensor : tensors) {
    Json::Array shape(tensor.shape.begin(), tensor.shape.end());
    const size_t end = at + out_bytes(tensor);
    members.emplace_back(tensor.name, Json::Object{{"dtype", dtype_name(tensor.dtype)},
                                                   {"shape", std::move(shape)},
                                                   {"data_offsets", Json::Array{at, end}}});
    at = end;
  }
  std::string text = to_text(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // data begins at a multiple of 8, as other writers do
  return text;
}

// Rounds floats to a 16-bit or wider dtype, in pieces, so that no second copy of a large tensor exists.
void write_rounded(AtomicFile& file, const TensorOut& tensor, const float* source) {
  const size_t count = out_bytes(tensor) / dtype_bytes(tensor.dtype);
  if (tensor.dtype == DType::F32) return file.write(source, count * 4);
  if (tensor.dtype != DType::F16 && tensor.dtype != DType::BF16)
    bad_input("cannot write floats as " + std::string(dtype_name(tensor.dtype)));
  std::vector<uint16_t> piece;
  for (size_t at = 0; at < count; at += piece.size()) {
    piece.resize(std::min<size_t>(count - at, 1 << 16));
    for (size_t i = 0; i < piece.size(); i++)
      piece[i] = tensor.dtype == DType::F16 ? float_to_half(source[at + i]) : float_to_bf16(source[at + i]);
    file.write(piece.data(), piece.size() * 2);
  }
}

}  // namespace

int64_t TensorInfo::elements() const { return static_cast<int64_t>(bytes / dtype_bytes(dtype)); }

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto at = std::lower_bound(tensors.begin(), tensors.end(), name, [](const auto& view, auto key) { return view.name < key; });
  return at != tensors.end() && at->name == name ? &*at : nullptr;
}

const std::string* SafetensorsFile::find_metadata(std::string_view key) const {
  for (const auto& [name, value] : metadata)
    if (name == key) return &value;
  return nullptr;
}

OpenSafetensors open_safetensors(const std::string& path) {
  OpenFile file(path);
  std::string start(std::min<size_t>(file.size, 8), '\0');
  file.read(0, start.data(), start.size());
  std::string text(header_length(start, file.size, path), '\0');
  file.read(8, text.data(), text.size());
  SafetensorsHeader header = parse_header(text, file.size, path);
  return {std::move(file), std::move(header)};
}

SafetensorsFile parse_safetensors(FileBytes bytes, const std::string& path) {
  const std::string_view text = bytes.text();
  const size_t length = header_length(text.substr(0, 8), bytes.size, path);
  SafetensorsHeader header = parse_header(text.substr(8, length), bytes.size, path);
  SafetensorsFile file{path, std::move(bytes), std::move(header.metadata), {}};
  for (TensorInfo& tensor : header.tensors) {
    const std::byte* data = file.bytes.data.get() + tensor.begin;
    file.tensors.push_back({std::move(tensor), data});
  }
  return file;
}

SafetensorsFile read_safetensors(const std::string& path) { return parse_safetensors(read_file(path), path); }

void to_f32(const TensorInfo& tensor, const std::byte* bytes, size_t n, float* out) {
  switch (tensor.dtype) {
    case DType::F32: return convert<float>(bytes, n, out, [](float v) { return v; });
    case DType::F16: return convert<uint16_t>(bytes, n, out, [](uint16_t bits) { return half_to_float(bits); });
    case DType::BF16: return convert<uint16_t>(bytes, n, out, [](uint16_t bits) { return bf16_to_float(bits); });
    case DType::F64: return convert<double>(bytes, n, out, [](double v) { return static_cast<float>(v); });
    default:
      bad_input("tensor " + in_quotes(tensor.name) + " is " + std::string(dtype_name(tensor.dtype)) + ", but must be F32, F16 or BF16");
  }
}

void to_f32(const TensorView& view, float* out) { to_f32(view, view.data, static_cast<size_t>(view.elements()), out); }

std::vector<float> to_f32(const TensorView& view) {
  std::vector<float> out(static_cast<size_t>(view.elements()));
  to_f32(view, out.data());
  return out;
}

std::vector<int32_t> to_i32(const TensorView& view) { return copy_exact<int32_t>(view, DType::I32); }
std::vector<int64_t> to_i64(const TensorView& view) { return copy_exact<int64_t>(view, DType::I64); }
std::vector<uint8_t> to_u8(const TensorView& view) { return copy_exact<uint8_t>(view, DType::U8); }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); i++) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

void write_safetensors(const std::string& path, const std::vector<TensorOut>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  const std::string header = header_text(tensors, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, 8);
  file.write(header.data(), header.size());
  for (const TensorOut& tensor : tensors) {
    if (tensor.make) write_rounded(file, tensor, tensor.make().data());
    else if (tensor.from_f32) write_rounded(file, tensor, static_cast<const float*>(tensor.data));
    else file.write(tensor.data, out_bytes(tensor));
  }
  file.commit();
}

}  // namespace concord
