#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "check.h"
#include "error.h"
#include "io/limits.h"
#include "io/safetensors.h"
#include "temp_dir.h"

using namespace concord;

static std::string one(const std::string& entry, size_t data_bytes) { return safetensors_text("{\"a\":" + entry + "}", data_bytes); }

TEST("reads back what it wrote, in every float type") {
  TempDir dir;
  const float values[] = {0, -1.5f, 65504, 1e-7f, 3.140625f, -0.f};
  const int64_t ids[] = {1, -2};
  write_safetensors(dir / "x.safetensors",
                    {{"f32", DType::F32, {2, 3}, values},
                     {"f16", DType::F16, {6}, values, true},
                     {"bf16", DType::BF16, {3, 2}, values, true},
                     {"ids", DType::I64, {2}, ids},
                     {"none", DType::F32, {0, 7}, nullptr},
                     {"scalar", DType::F32, {}, values + 1}},
                    {{"format", "pt"}});
  const SafetensorsFile file = read_safetensors(dir / "x.safetensors");
  CHECK_EQ(*file.find_metadata("format"), "pt");
  CHECK_EQ(file.tensors.size(), size_t{6});
  CHECK_EQ(shape_text(file.find("f32")->shape), "[2, 3]");
  const auto f32 = to_f32(*file.find("f32")), f16 = to_f32(*file.find("f16")), bf16 = to_f32(*file.find("bf16"));
  for (size_t i = 0; i < 6; i++) CHECK_EQ(f32[i], values[i]);
  CHECK_EQ(f16[2], 65504.f);
  CHECK_NEAR(f16[3], 1e-7f, 3e-8);
  CHECK_EQ(bf16[4], 3.140625f);
  CHECK(std::signbit(f16[5]));
  CHECK_EQ(to_i64(*file.find("ids"))[1], -2);
  CHECK_EQ(file.find("none")->elements(), 0);
  CHECK_EQ(to_f32(*file.find("scalar"))[0], -1.5f);
  CHECK(file.find("absent") == nullptr);
  CHECK_THROWS_WITH(to_f32(*file.find("ids")), "\"ids\" is I64");
  CHECK_THROWS_WITH(to_i32(*file.find("ids")), "must be I32");
}

TEST("every half comes back as the same bits") {
  for (uint32_t bits = 0; bits < 65536; bits++) {
    const uint16_t half = static_cast<uint16_t>(bits);
    if (std::isnan(half_to_float(half))) CHECK(std::isnan(half_to_float(float_to_half(half_to_float(half)))));
    else CHECK_EQ(float_to_half(half_to_float(half)), half);
    if (std::isnan(bf16_to_float(half))) CHECK(std::isnan(bf16_to_float(float_to_bf16(bf16_to_float(half)))));
    else CHECK_EQ(float_to_bf16(bf16_to_float(half)), half);
  }
}

TEST("halves round to the nearest, ties to even") {
  CHECK_EQ(half_to_float(float_to_half(1 + std::ldexp(1.f, -11))), 1.f);                          // tie, down to even
  CHECK_EQ(half_to_float(float_to_half(1 + 3 * std::ldexp(1.f, -11))), 1 + std::ldexp(1.f, -9));  // tie, up to even
  CHECK_EQ(half_to_float(float_to_half(65519.f)), 65504.f);
  CHECK(std::isinf(half_to_float(float_to_half(65520.f))));
  CHECK_EQ(half_to_float(float_to_half(std::ldexp(1.f, -25))), 0.f);
  CHECK_EQ(half_to_float(float_to_half(std::ldexp(3.f, -25))), std::ldexp(1.f, -23));
  CHECK_EQ(bf16_to_float(float_to_bf16(1 + std::ldexp(1.f, -8))), 1.f);
  CHECK(std::isinf(bf16_to_float(float_to_bf16(std::numeric_limits<float>::max()))));
}

TEST("refuses a hostile corpus, each file by its own reason") {
  const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK_EQ(parse_text(one(good, 8)).tensors.size(), size_t{1});
  const auto raw = [](uint64_t length, const std::string& rest) {
    std::string text(8, '\0');
    std::memcpy(text.data(), &length, 8);
    return text + rest;
  };
  const std::string deep = std::string(20, '[') + std::string(20, ']');
  std::string many = "{";
  for (size_t i = 0; i <= limits::tensors_max; i++)
    many += (i ? ",\"t" : "\"t") + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  const struct {
    const char* reason;
    std::string text;
  } corpus[] = {
      {"too short", ""},
      {"too short", std::string(7, '\0')},
      {"no header", raw(0, "")},
      {"no header", raw(1, "{")},
      {"cut off inside its header", raw(100, "{}")},
      {"cut off inside its header", one(good, 8).substr(0, 20)},
      {"more than the 8388608", raw(UINT64_MAX, "{}")},
      {"more than the 8388608", raw(INT64_MAX, "{}")},
      {"more than the 8388608", raw((8 << 20) + 1, std::string((8 << 20) + 1, ' '))},
      {"does not begin with '{'", safetensors_text("[]", 0)},
      {"does not begin with '{'", safetensors_text("  {}", 0)},
      {"not a JSON value", safetensors_text("{\"a\":x}", 0)},
      {"UTF-8", safetensors_text("{\"\xff\":1}", 0)},
      {"is given twice", safetensors_text("{\"a\":" + good + ",\"a\":" + good + "}", 8)},
      {"is given twice", safetensors_text(R"({"__metadata__":{"k":"1","k":"2"}})", 0)},
      {"must be a string", safetensors_text(R"({"__metadata__":{"k":1}})", 0)},
      {"must be an object", safetensors_text(R"({"__metadata__":[]})", 0)},
      {"more than the 65536", safetensors_text("{\"__metadata__\":{\"k\":\"" + std::string(70000, 'x') + "\"}}", 0)},
      {"nested deeper", safetensors_text("{\"a\":" + deep + "}", 0)},
      {"must be an object", safetensors_text(R"({"a":1})", 0)},
      {"dtype is missing", one(R"({"shape":[2],"data_offsets":[0,8]})", 8)},
      {"shape is missing", one(R"({"dtype":"F32","data_offsets":[0,8]})", 8)},
      {"data_offsets is missing", one(R"({"dtype":"F32","shape":[2]})", 8)},
      {"unknown key", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})", 8)},
      {"not supported", one(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})", 8)},
      {"must be a string", one(R"({"dtype":1,"shape":[2],"data_offsets":[0,8]})", 8)},
      {"must be an integer", one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", 8)},
      {"must be from 0", one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", 8)},
      {"too large to exist", one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})", 8)},
      {"too large to exist", one(R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,8]})", 8)},
      {"too large to exist", one(R"({"dtype":"U8","shape":[9223372036854775807,2,0],"data_offsets":[0,0]})", 0)},
      {"must be an integer", one(R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]})", 8)},
      {"more than 8 dimensions", one(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]})", 1)},
      {"must hold two", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", 8)},
      {"must hold two", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})", 8)},
      {"ends before it begins", one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8)},
      {"spans 4 bytes", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4)},
      {"spans 8 bytes", one(R"({"dtype":"F16","shape":[2],"data_offsets":[0,8]})", 8)},
      {"beyond the end", one(good, 7)},
      {"beyond the end", one(R"({"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]})", 8)},
      {"1 bytes after", one(good, 9)},
      {"leaves a gap", one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12)},
      {"leaves a gap", safetensors_text("{\"a\":" + good + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}})", 10)},
      {"overlaps", safetensors_text("{\"a\":" + good + R"(,"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 8)},
      {"overlaps", safetensors_text("{\"a\":" + good + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9]}})", 9)},
      {"more than 20000 tensors", safetensors_text(many + "}", 0)},
      {"pickle", std::string("PK\x03\x04", 4) + std::string(100, '\0')},
      {"pickle", std::string("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9", 9) + std::string(100, 'x')},
  };
  for (const auto& [reason, text] : corpus) CHECK_THROWS_WITH(parse_text(text), reason);
}

TEST("mutants of a valid file are read or refused, never worse") {
  TempDir dir;
  const float values[16] = {1, 2, 3};
  write_safetensors(dir / "x", {{"a", DType::F32, {4, 2}, values}, {"b", DType::F16, {8}, values, true}}, {{"format", "pt"}});
  const FileBytes file = read_file(dir / "x");
  const std::string valid(file.text());
  uint64_t state = 11;
  const auto next = [&state](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  int refused = 0;
  for (int i = 0; i < 6000; i++) {
    std::string text = valid;
    const size_t header_end = 8 + 180;  // most mutants hit the header; the data cannot be wrong
    for (uint64_t k = 0; k <= next(3); k++) text[next(i % 4 ? header_end : text.size())] = static_cast<char>(next(256));
    if (next(8) == 0) text.resize(next(text.size()));
    if (next(8) == 0) text += std::string(next(9), 'x');
    try {
      const SafetensorsFile parsed = parse_text(text);
      for (const TensorView& view : parsed.tensors)
        if (view.dtype == DType::F32 || view.dtype == DType::F16) CHECK_EQ(to_f32(view).size(), static_cast<size_t>(view.elements()));
    } catch (const Failure& failure) {
      CHECK(failure.exit_code == 2);
      refused++;
    }
  }
  CHECK(refused > 3000);
}

TEST("a folder, a device or an absent file is refused by name") {
  TempDir dir;
  CHECK_THROWS_WITH(read_safetensors(dir.path), "not a regular file");
  CHECK_THROWS_WITH(read_safetensors("/dev/zero"), "not a regular file");
  CHECK_THROWS_WITH(read_safetensors(dir / "absent"), "No such file");
  mkfifo((dir / "pipe").c_str(), 0600);
  CHECK_THROWS_WITH(read_safetensors(dir / "pipe"), "not a regular file");
}
