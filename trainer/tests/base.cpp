// A base read piece by piece: the same weights and the same names, whatever the pieces.
#include "model/base.h"

#include <cstring>
#include <filesystem>
#include <utility>

#include "run/base_hash.h"
#include "tiny_model.h"

using namespace concord;

namespace {

constexpr Quantization kAll[] = {Quantization::none, Quantization::nf4, Quantization::nf4_double, Quantization::fp8};

struct Read {
  HostBase base;
  std::string sample, key;

  Read(const CheckpointDir& checkpoint, Quantization how, bool all = true, int threads = 2) {
    Cpu cpu(threads);
    base = HostBase(cpu, checkpoint.config, how);
    BaseHash hash(cpu, checkpoint.config_json, all);
    read_base(cpu, checkpoint, how, {&base, &hash});
    sample = hash.sample();
    key = hash.key();
  }
};

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

TEST("every weight is in its place, and none is there twice") {
  TempDir dir;
  CheckpointDir checkpoint = open_checkpoint(tiny::write_model(dir, tiny::config()));
  for (const int64_t piece : {1 << 18, 100, 1}) {
    checkpoint.piece = piece;
    for (const Quantization how : kAll) {
      const Read read(checkpoint, how);
      const WeightLayout layout = weight_layout(checkpoint.config, how);
      std::vector<float> whole;
      for (const WeightSpec& weight : layout.specs)
        for (const float v : checkpoint.read_weight(weight.name)) whole.push_back(v);
      CHECK(read.base.weights == whole);
      CHECK_EQ(read.base.quantized.bytes(), quantized_base_bytes(checkpoint.config, how));
    }
  }
}

TEST("the name of a base is the hash of its configuration and of the hashes of all that it is computed with, whatever the pieces and threads") {
  TempDir dir;
  Json config = tiny::config();
  config.set("vocab_size", int64_t{20'000});  // more chunks than wait at a time
  CheckpointDir checkpoint = open_checkpoint(tiny::write_model(dir, config));
  for (const Quantization how : kAll) {
    const Read read(checkpoint, how);
    std::string all = bytes_of(read.base.weights), hashes = to_text(checkpoint.config_json);
    for (const auto& layer : read.base.quantized.layers)
      for (const auto& modules : layer)
        for (const QuantizedMatrix& m : modules)
          all += bytes_of(m.codes) + bytes_of(m.scales) + bytes_of(m.scale_codes) + bytes_of(m.scale_scales) + bytes_of(std::vector<float>{m.scale_mean});
    constexpr size_t kChunk = 1 << 16;
    CHECK(all.size() > 9 * kChunk);
    for (size_t at = 0; at < all.size(); at += kChunk) hashes += sha256_hex(std::string_view(all).substr(at, kChunk));
    CHECK_EQ(read.key, sha256_hex(hashes));
    const int64_t usual = std::exchange(checkpoint.piece, 99);
    for (const int threads : {1, 3}) {
      const Read again(checkpoint, how, true, threads);
      CHECK(again.key == read.key && again.sample == read.sample);
    }
    CHECK_EQ(Read(checkpoint, how, false).key, "");
    checkpoint.piece = usual;
  }
}

TEST("another weight at the start of a tensor is another sample") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  const CheckpointDir checkpoint = open_checkpoint(model);
  for (const char* name : {"model.embed_tokens.weight", "model.layers.2.mlp.down_proj.weight", "model.norm.weight"}) {
    std::string file(read_file(model + "/model.safetensors").text());
    file[checkpoint.tensor(name).begin + 4 * 20 + 2] ^= 0x40;
    dir.write("changed/model.safetensors", file);
    dir.write("changed/config.json", read_file(model + "/config.json").text());
    const CheckpointDir changed = open_checkpoint(dir / "changed");
    for (const Quantization how : kAll) CHECK(Read(changed, how).sample != Read(checkpoint, how).sample);
  }
}

TEST("a damaged weight is named wherever a core meets it, the first of several") {
  TempDir dir;
  Json config = tiny::config();
  config.set("vocab_size", int64_t{20'000});
  const std::string model = tiny::write_model(dir, config);
  CheckpointDir checkpoint = open_checkpoint(model);
  std::string file(read_file(model + "/model.safetensors").text());
  for (const int64_t element : {400'000, 5'000}) std::memset(file.data() + checkpoint.tensor("model.embed_tokens.weight").begin + 4 * element, 0xff, 4);
  std::filesystem::create_directory(dir / "damaged");
  dir.write("damaged/model.safetensors", file);
  dir.write("damaged/config.json", read_file(model + "/config.json").text());
  CheckpointDir damaged = open_checkpoint(dir / "damaged");
  for (const int64_t piece : {1 << 17, 1000}) {
    damaged.piece = piece;
    CHECK_THROWS_WITH(Read(damaged, Quantization::none), "\"model.embed_tokens.weight\" holds NaN at element 5000;");
  }
}
