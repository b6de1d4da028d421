#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "check.h"
#include "error.h"
#include "io/checkpoint_dir.h"
#include "run/commands.h"
#include "temp_dir.h"

using namespace concord;

static const char* base_config =
    R"({"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"vocab_size":16})";

// The base with members replaced, added, or (where `value` is "-") removed.
static Json config_with(std::initializer_list<std::pair<const char*, const char*>> changes) {
  Json json = parse_json(base_config, "base");
  for (const auto& [key, value] : changes) {
    if (std::string(value) == "-") std::erase_if(std::get<Json::Object>(json.value), [key = key](const auto& m) { return m.first == key; });
    else json.set(key, parse_json(value, key));
  }
  return json;
}
static ModelConfig parse_with(std::initializer_list<std::pair<const char*, const char*>> changes) {
  return parse_model_config(config_with(changes), "config.json");
}

TEST("fills in the family's defaults") {
  const ModelConfig config = parse_with({});
  CHECK_EQ(config.num_key_value_heads, 2);
  CHECK_EQ(config.head_dim, 4);
  CHECK_EQ(config.ropes[0].theta, 10000.0);
  CHECK(!config.tie_word_embeddings && !config.qkv_bias && !config.o_bias && !config.mlp_bias);
  CHECK_EQ(config.bos_token_id, -1);
  CHECK(config.eos_token_ids.empty());
  CHECK_EQ(config.dtype, "float32");
}

TEST("reads rope as transformers 4 and 5 write it") {
  const auto four = parse_with({{"rope_theta", "500000.0"},
                                {"rope_scaling", R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64})"}});
  const auto five = parse_with({{"rope_parameters", R"({"rope_theta":500000.0,"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64})"}});
  for (const ModelConfig& config : {four, five}) {
    CHECK_EQ(config.ropes[0].theta, 500000.0);
    CHECK(config.ropes[0].scaling.type == RopeScaling::Type::llama3);
    CHECK_EQ(config.ropes[0].scaling.factor, 8.0);
    CHECK_EQ(config.ropes[0].scaling.original_max_position_embeddings, 64);
  }
  const auto plain = parse_with({{"rope_parameters", R"({"rope_theta":1000.0,"rope_type":"default"})"}, {"rope_scaling", "null"}});
  CHECK(plain.ropes[0].scaling.type == RopeScaling::Type::none);
  CHECK_EQ(plain.ropes[0].theta, 1000.0);
  CHECK(parse_with({{"rope_scaling", R"({"type":"linear","factor":2})"}}).ropes[0].scaling.type == RopeScaling::Type::linear);
}

TEST("reads eos as a number or a list, and dtype under both names") {
  CHECK_EQ(parse_with({{"eos_token_id", "2"}}).eos_token_ids.size(), size_t{1});
  CHECK_EQ(parse_with({{"eos_token_id", "[2, 5]"}}).eos_token_ids[1], 5);
  CHECK_EQ(parse_with({{"torch_dtype", "\"float16\""}}).dtype, "float16");
  CHECK_EQ(parse_with({{"dtype", "\"bfloat16\""}}).dtype, "bfloat16");
}

TEST("refuses by name what it does not support or what cannot be") {
  CHECK_THROWS_WITH(parse_with({{"model_type", "\"mamba\""}}), "model_type \"mamba\" is not supported; supported: llama, mistral, qwen2");
  CHECK_THROWS_WITH(parse_with({{"model_type", "-"}}), "model_type is missing");
  CHECK_THROWS_WITH(parse_with({{"auto_map", R"({"AutoModel":"x.py"})"}}), "auto_map is refused");
  CHECK_THROWS_WITH(parse_with({{"trust_remote_code", "true"}}), "trust_remote_code is refused");
  CHECK_THROWS_WITH(parse_with({{"quantization_config", "{}"}}), "quantization_config is not supported");
  CHECK_THROWS_WITH(parse_with({{"hidden_act", "\"gelu\""}}), "hidden_act is \"gelu\"");
  CHECK_THROWS_WITH(parse_with({{"rope_scaling", R"({"rope_type":"proportional","factor":2})"}}), "rope_scaling.rope_type is \"proportional\"");
  CHECK_THROWS_WITH(parse_with({{"rope_scaling", R"({"rope_type":"linear","factor":2,"mrope_section":[1]})"}}), "rope_scaling.mrope_section is not supported");
  CHECK_THROWS_WITH(parse_with({{"rope_scaling", R"({"type":"dynamic","factor":2})"}}), "rope_scaling.type is \"dynamic\"");
  CHECK_THROWS_WITH(parse_with({{"rope_parameters", R"({"rope_type":"llama3"})"}}), "rope_parameters.factor is missing");
  CHECK_THROWS_WITH(parse_with({{"partial_rotary_factor", "0.5"}}), "partial_rotary_factor");
  CHECK_THROWS_WITH(parse_with({{"hidden_size", "8.0"}}), "hidden_size must be an integer, not 8.0");
  CHECK_THROWS_WITH(parse_with({{"hidden_size", "20000"}}), "hidden_size is 20000, but must be from 1 to 16384");
  CHECK_THROWS_WITH(parse_with({{"hidden_size", "0"}}), "hidden_size");
  CHECK_THROWS_WITH(parse_with({{"num_hidden_layers", "257"}}), "num_hidden_layers");
  CHECK_THROWS_WITH(parse_with({{"vocab_size", "1000001"}}), "vocab_size");
  CHECK_THROWS_WITH(parse_with({{"vocab_size", "\"16\""}}), "vocab_size must be an integer");
  CHECK_THROWS_WITH(parse_with({{"num_attention_heads", "3"}}), "does not divide hidden_size, 8");
  CHECK_THROWS_WITH(parse_with({{"num_attention_heads", "4"}, {"num_key_value_heads", "3"}}), "does not divide num_attention_heads, 4");
  CHECK_THROWS_WITH(parse_with({{"num_key_value_heads", "4"}}), "num_key_value_heads");
  CHECK_THROWS_WITH(parse_with({{"head_dim", "3"}}), "head_dim rotates 3 of 3 elements");
  CHECK_THROWS_WITH(parse_with({{"eos_token_id", "16"}}), "eos_token_id is 16");
  CHECK_THROWS_WITH(parse_with({{"eos_token_id", "[2, -1]"}}), "eos_token_id[1]");
  CHECK_THROWS_WITH(parse_with({{"torch_dtype", "\"float8\""}}), "torch_dtype is \"float8\"");
  CHECK_THROWS_WITH(parse_with({{"rms_norm_eps", "\"1e-5\""}}), "rms_norm_eps must be a number");
  CHECK_THROWS_WITH(parse_with({{"attention_dropout", "0.1"}}), "attention_dropout");
}

TEST("lists a model's weights") {
  CHECK_EQ(model_tensors(parse_with({})).size(), size_t{2 + 2 * 9 + 1});
  CHECK_EQ(model_tensors(parse_with({{"tie_word_embeddings", "true"}})).size(), size_t{1 + 2 * 9 + 1});
  CHECK_EQ(model_tensors(parse_with({{"attention_bias", "true"}, {"mlp_bias", "true"}})).size(), size_t{2 + 2 * 16 + 1});
  const auto linears = model_linears(parse_with({{"num_key_value_heads", "1"}}));
  CHECK_EQ(linears[8].module, "model.layers.1.self_attn.k_proj");
  CHECK_EQ(linears[8].out, 4);
  CHECK_EQ(linears[13].in, 12);
}

// A folder made by `init`, which the tests below then damage.
static std::string make_model(const TempDir& dir, const Json& config) {
  run_init(dir.write("c.json", to_text(config)), 7, dir / "m");
  return dir / "m";
}
static std::vector<TensorOut> views_of(const SafetensorsFile& file) {
  std::vector<TensorOut> out;
  for (const TensorView& view : file.tensors) out.push_back({view.name, view.dtype, view.shape, view.data});
  return out;
}

TEST("init writes a checkpoint that opens, the same bytes for the same seed, and never over another") {
  TempDir dir;
  const std::string model = make_model(dir, config_with({{"torch_dtype", "\"bfloat16\""}}));
  const CheckpointDir checkpoint = open_checkpoint(model);
  CHECK(checkpoint.tensor("lm_head.weight").dtype == DType::BF16);
  CHECK_EQ(checkpoint.read_weight("model.norm.weight")[3], 1.f);
  run_init(dir / "c.json", 7, dir / "same");
  run_init(dir / "c.json", 8, dir / "other");
  CHECK(read_file(dir / "same/model.safetensors").text() == read_file(dir / "m/model.safetensors").text());
  CHECK(read_file(dir / "other/model.safetensors").text() != read_file(dir / "m/model.safetensors").text());
  CHECK_THROWS_WITH(run_init(dir / "c.json", 7, model), "already holds config.json");
}

TEST("init draws from the normal distribution the config asks for") {
  TempDir dir;
  const std::string model = make_model(dir, config_with({{"vocab_size", "20000"}, {"initializer_range", "0.05"}}));
  double sum = 0, squares = 0;
  const auto values = open_checkpoint(model).read_weight("model.embed_tokens.weight");
  for (const float v : values) sum += v, squares += double{v} * v;
  const double n = static_cast<double>(values.size());
  CHECK_NEAR(sum / n, 0, 0.05 * 5 / std::sqrt(n));
  CHECK_NEAR(std::sqrt(squares / n), 0.05, 0.05 * 0.01);
}

TEST("refuses a checkpoint with missing, extra or wrong weights by name") {
  TempDir dir;
  const std::string model = make_model(dir, config_with({})), path = model + "/model.safetensors";
  const SafetensorsFile good = read_safetensors(path);
  const float zeros[512] = {};
  const auto with = [&](auto change) {
    std::vector<TensorOut> tensors = views_of(good);
    change(tensors);
    write_safetensors(path, tensors, {});
    open_checkpoint(model);
  };
  with([&](auto& t) { t.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::F32, {2}, zeros}); });
  CHECK_THROWS_WITH(with([](auto& t) { t.pop_back(); }), "\"model.norm.weight\" is missing");
  CHECK_THROWS_WITH(with([&](auto& t) { t.push_back({"model.layers.2.mlp.up_proj.weight", DType::F32, {12, 8}, zeros}); }),
                    "\"model.layers.2.mlp.up_proj.weight\" has no place");
  CHECK_THROWS_WITH(with([](auto& t) { t.back().shape = {2, 4}; }), "\"model.norm.weight\" has the shape [2, 4], but config.json asks for [8]");
  CHECK_THROWS_WITH(with([&](auto& t) { t.back() = {"model.norm.weight", DType::I32, {8}, zeros}; }), "is I32, but must be F32");
  write_safetensors(path, views_of(good), {});
  write_file(path, read_file(path).text().substr(0, 200));
  CHECK_THROWS_WITH(open_checkpoint(model), "cut off");
  write_file(path, std::string("PK\x03\x04") + std::string(50, 'x'));
  CHECK_THROWS_WITH(open_checkpoint(model), "pickle");
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(open_checkpoint(model), "holds neither model.safetensors nor");
  write_file(model + "/pytorch_model.bin", "x");
  CHECK_THROWS_WITH(open_checkpoint(model), "\"pytorch_model.bin\", a pickle file");
  CHECK_THROWS_WITH(open_checkpoint(dir / "absent"), "is not a folder");
}

TEST("a tied head may be stored as a copy but not as something else") {
  TempDir dir;
  const std::string model = make_model(dir, config_with({{"tie_word_embeddings", "true"}})), path = model + "/model.safetensors";
  const SafetensorsFile good = read_safetensors(path);
  std::vector<TensorOut> tensors = views_of(good);
  const TensorView* embedding = good.find("model.embed_tokens.weight");
  tensors.push_back({"lm_head.weight", DType::F32, embedding->shape, embedding->data});
  write_safetensors(path, tensors, {});
  CHECK_EQ(open_checkpoint(model).tensors.count("lm_head.weight"), size_t{0});
  const std::vector<float> other(static_cast<size_t>(embedding->elements()), 1.f);
  tensors.back().data = other.data();
  write_safetensors(path, tensors, {});
  CHECK_THROWS_WITH(open_checkpoint(model), "lm_head.weight that differs");
}

// With a vocabulary of 4099, so that a weight is many pieces and a rest.
static CheckpointDir in_pieces(const TempDir& dir, const char* dtype, int64_t piece) {
  CheckpointDir checkpoint = open_checkpoint(make_model(dir, config_with({{"torch_dtype", dtype}, {"vocab_size", "4099"}})));
  checkpoint.piece = piece;
  return checkpoint;
}

TEST("weights read in pieces are those of the file read whole, in every dtype, whatever the pieces") {
  for (const char* dtype : {"\"float32\"", "\"float16\"", "\"bfloat16\""}) {
    TempDir dir;
    for (const int64_t piece : {1 << 18, 4099 * 8, 1024, 1000, 7}) {
      std::filesystem::remove_all(dir / "m");
      const CheckpointDir checkpoint = in_pieces(dir, dtype, piece);
      const SafetensorsFile whole = read_safetensors(dir / "m/model.safetensors");
      for (const TensorView& view : whole.tensors) CHECK(checkpoint.read_weight(view.name) == to_f32(view));
      const std::vector<float> all = to_f32(*whole.find("lm_head.weight"));
      for (const auto& [begin, n] : std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {999, 2}, {1024, 1024}, {32'791, 1}, {5, 0}}) {
        std::vector<float> some(static_cast<size_t>(n));
        checkpoint.read_weight("lm_head.weight", begin, some);
        CHECK(std::equal(some.begin(), some.end(), all.begin() + begin));
      }
    }
  }
}

// Puts bytes into the file behind the trainer's back.
static void overwrite(const std::string& path, size_t at, const void* bytes, size_t n) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(n));
}

TEST("a number that is none, at the end of a later piece, is named with its place in the weight") {
  TempDir dir;
  const CheckpointDir checkpoint = in_pieces(dir, "\"bfloat16\"", 1024);
  const TensorInfo& head = checkpoint.tensor("lm_head.weight");
  const uint16_t nan = 0x7FC0, infinity = 0xFF80;
  overwrite(dir / "m/model.safetensors", head.begin + 2 * (5 * 1024 - 1), &infinity, 2);
  CHECK_THROWS_WITH(checkpoint.read_weight("lm_head.weight"), "the weight \"lm_head.weight\" holds infinity at element 5119; the file is damaged");
  overwrite(dir / "m/model.safetensors", head.begin + 2 * (5 * 1024 - 1), &nan, 2);
  CHECK_THROWS_WITH(checkpoint.read_weight("lm_head.weight"), "holds NaN at element 5119;");
  std::vector<float> last(2);
  CHECK_THROWS_WITH(checkpoint.read_weight("lm_head.weight", 5118, last), "holds NaN at element 5119;");
}

TEST("a file that is cut off or grows after it was opened is refused by name") {
  TempDir dir;
  const CheckpointDir checkpoint = in_pieces(dir, "\"float32\"", 1024);
  const std::string path = dir / "m/model.safetensors";
  const auto whole = std::filesystem::file_size(path);
  const auto refused = [&](const char* weight) {
    try {
      (void)checkpoint.read_weight(weight);
    } catch (const Failure& failure) {
      CHECK_EQ(failure.exit_code, 2);
      return std::string(failure.what());
    }
    return std::string();
  };
  for (const auto size : {whole - 1, whole / 2, whole + 8}) {
    std::filesystem::resize_file(path, size);
    const std::string why = path + ": changed its length while it was read, from " + std::to_string(whole) + " to " + std::to_string(size) + " bytes";
    for (const char* weight : {"model.embed_tokens.weight", "model.norm.weight"}) CHECK(refused(weight).starts_with(why));
  }
  std::filesystem::remove(path);  // the open file is still the one that was checked
  CHECK(refused("model.norm.weight").find("changed its length") != std::string::npos);
}

// Splits the checkpoint in two shards and writes the index.
static Json::Object shard(const std::string& model) {
  Json::Object map;
  {
    const SafetensorsFile all = read_safetensors(model + "/model.safetensors");
    std::vector<TensorOut> first = views_of(all), second(first.begin() + 5, first.end());
    first.resize(5);
    write_safetensors(model + "/a.safetensors", first, {});
    write_safetensors(model + "/b.safetensors", second, {});
    for (const auto& t : first) map.emplace_back(t.name, "a.safetensors");
    for (const auto& t : second) map.emplace_back(t.name, "b.safetensors");
  }
  std::filesystem::remove(model + "/model.safetensors");
  return map;
}

TEST("reads shards, and refuses an index that leads elsewhere") {
  TempDir dir;
  const std::string model = make_model(dir, config_with({}));
  const Json::Object map = shard(model);
  const auto with = [&](auto change) {
    Json::Object changed = map;
    change(changed);
    write_file(model + "/model.safetensors.index.json", to_text(Json::Object{{"metadata", Json::Object{}}, {"weight_map", changed}}));
    return open_checkpoint(model);
  };
  CHECK_EQ(with([](auto&) {}).tensors.size(), map.size());
  dir.write("out.safetensors", "x");
  for (const char* name : {"../out.safetensors", "/etc/passwd", "..", ".", "", "x/../a.safetensors", "..\\a.safetensors"})
    CHECK_THROWS_WITH(with([name](auto& m) { m[0].second = name; }), "must be a plain file name");
  CHECK_THROWS_WITH(with([](auto& m) { m[0].second = "pytorch_model.bin"; }), "pickle");
  CHECK_THROWS_WITH(with([](auto& m) { m[0].second = "a.txt"; }), "must end in .safetensors");
  CHECK_THROWS_WITH(with([](auto& m) { m[0].second = 5; }), "must be a string");
  CHECK_THROWS_WITH(with([](auto& m) { m[0].second = "b.safetensors"; }), "does not place there");
  CHECK_THROWS_WITH(with([](auto& m) { m.emplace_back("model.extra", "a.safetensors"); }), "places \"model.extra\" in a.safetensors, but it is not there");
  std::filesystem::remove(model + "/b.safetensors");
  CHECK_THROWS_WITH(with([](auto&) {}), "b.safetensors: No such file");
  std::filesystem::create_symlink(dir / "out.safetensors", model + "/b.safetensors");
  CHECK_THROWS_WITH(with([](auto&) {}), "a link to a place outside the folder");
}

TEST("opens the golden and the really trained model") {
  for (const char* name : {"/golden/llama/model", "/golden/qwen2/model", "/golden/gemma2/model", "/data/tiny-llm-stories260k/hf"}) {
    const std::string dir = std::string(CONCORD_SHARED_DIR) + name;
    if (!path_exists(dir)) SKIP("no shared folder beside the repository");
    const CheckpointDir checkpoint = open_checkpoint(dir);
    CHECK_EQ(checkpoint.tensors.size(), model_tensors(checkpoint.config).size());
  }
}
