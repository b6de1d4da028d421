// Scores by a GPU beside the CPU's, from the same bfloat16 weights: the base, adapters, quantized bases, heads on tensor cores.
#include "run/commands.h"
#include "tiny_model.h"
#include "twin.h"

using namespace twin;

namespace {

struct Scored {
  double mean = 0, largest = 0;  // how far a token's log-probability is from the CPU's, in nats
};

struct Setup {
  TempDir dir;
  std::string model, groups;

  explicit Setup(const Json::Object& members = {}) {
    Json config = tiny::config();
    config.set("dtype", "bfloat16");
    for (const auto& [key, value] : members) config.set(key, value);
    model = tiny::write_model(dir, config);
    tiny::GroupsFile file;
    for (int64_t g = 0; g < 6; g++)
      file.add(tiny::random_ids(draw(), g == 0 ? 0 : 3 + 2 * g), {tiny::random_ids(draw(), 4 + g), tiny::random_ids(draw(), 5), tiny::random_ids(draw(), 30)});
    groups = file.write(dir);
  }

  std::vector<float> token_logps(const std::string& adapter, Quantization how, const DeviceChoice& device) const {
    const std::string out = dir / "scores.safetensors";
    CHECK_EQ(run_score({model, adapter, groups, out, how, "", device}), 0);
    const SafetensorsFile file = read_safetensors(out);
    return to_f32(*file.find("token_logps"));
  }

  Scored compare(const std::string& adapter = "", Quantization how = Quantization::none) const {
    return apart(token_logps(adapter, how, {}), token_logps(adapter, how, cpu_device()));  // auto takes the GPU
  }

  static Scored apart(const std::vector<float>& got, const std::vector<float>& want) {
    CHECK_EQ(got.size(), want.size());
    CHECK(got != want);
    Scored scored;
    for (size_t i = 0; i < want.size(); i++) {
      const double off = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
      CHECK(std::isfinite(off));
      scored.mean += off / static_cast<double>(want.size());
      scored.largest = std::max(scored.largest, off);
    }
    return scored;
  }
};

// Twice what bfloat16 activations cost these models, whose random weights make log-probabilities of many nats.
constexpr double kMean = 0.05, kLargest = 0.3;

void expect_near(const char* what, const Scored& scored) {
  if (!(scored.mean < kMean && scored.largest < kLargest))
    throw std::runtime_error(std::string(what) + ": token log-probabilities are off by " + std::to_string(scored.mean) + ", at most " + std::to_string(scored.largest));
}

}  // namespace

TEST("a base, an adapter, DoRA") {
  const Setup setup;
  expect_near("the base", setup.compare());
  const std::string adapter = tiny::write_lora(setup.dir, setup.model);
  expect_near("an adapter", setup.compare(adapter));
  // The limits of expect_near would show an adapter that is left out.
  const DeviceChoice on_cpu = cpu_device();
  CHECK(Setup::apart(setup.token_logps(adapter, Quantization::none, on_cpu), setup.token_logps("", Quantization::none, on_cpu)).mean > 4 * kMean);
  AdapterConfig dora = tiny::rank_four();
  dora.use_dora = true;
  expect_near("DoRA", setup.compare(tiny::write_lora(setup.dir, setup.model, "dora", dora)));
}

TEST("quantized bases, under an adapter") {
  const Setup setup;
  const std::string adapter = tiny::write_lora(setup.dir, setup.model);
  for (const Quantization how : {Quantization::nf4, Quantization::nf4_double, Quantization::fp8}) expect_near("quantized", setup.compare(adapter, how));
}

TEST("heads on tensor cores") {
  expect_near("heads of 64", Setup({{"head_dim", 64}}).compare());
}

TEST("a GPU that is not there is refused") {
  const Setup setup;
  CHECK_THROWS_WITH(setup.token_logps("", Quantization::none, parse_device("cuda:99", "--device")), "cuda:99 is not there");
}
