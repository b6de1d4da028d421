// Requests in flight together: each says what it says alone, whatever stands beside it, waits or leaves.
#include "run/generator.h"

#include <map>

#include "run/loaded_model.h"
#include "tiny_model.h"

using namespace tiny;

namespace {

using Samples = std::vector<Ids>;

struct Setup {
  TempDir dir;
  std::string path;
  Cpu cpu{1};
  LoadedModel<Cpu, float> model;
  std::shared_ptr<const Lora<Cpu, float>> none, first, second;

  Setup() {
    Json c = config();
    c.set("max_position_embeddings", 400);
    path = write_model(dir, c);
    model = load_model<Cpu, float>(cpu, path, "");
    first = load_adapter(cpu, write_lora(dir, path, "first"), model);
    AdapterConfig wider = rank_four();
    wider.r = 9;
    second = load_adapter(cpu, write_lora(dir, path, "second", wider), model);
  }

  // Short and long prompts, greedy and not, one sample and several.
  static std::vector<GenerationRequest> requests() {
    std::vector<GenerationRequest> all;
    Random random(11, 0);
    for (int64_t i = 0; i < 9; i++) {
      GenerationRequest ask;
      ask.prompt = random_ids(random, std::vector<int64_t>{3, 70, 1, 150, 40, 64}[i % 6]);
      ask.num_return_sequences = 1 + i % 4;
      ask.max_new_tokens = 5 + 3 * i;
      ask.sampling.temperature = i % 3 == 0 ? 0 : 0.8;
      ask.sampling.top_p = i % 2 ? 0.9 : 1;
      ask.sampling.repetition_penalty = i == 4 ? 1.3 : 1;
      ask.seed = 5 + i;
      ask.stop = {7};
      all.push_back(ask);
    }
    return all;
  }

  // Of request i: the base, or an adapter.
  const std::shared_ptr<const Lora<Cpu, float>>& adapter(size_t i) const { return i % 3 == 1 ? first : i % 3 == 2 ? second : none; }

  static GeneratorLimits limits() {
    GeneratorLimits limits;
    limits.cache_rows = 3000;
    limits.positions = 400;
    limits.prompt_tokens = 100;  // the prompt of 150 goes in pieces
    return limits;
  }
};

std::map<uint64_t, Samples> finish(Generator<Cpu, float>& generator, const std::map<uint64_t, Samples>& begun = {}) {
  std::map<uint64_t, Samples> said = begun;
  while (!generator.idle()) {
    for (const SampledToken& sampled : generator.step()) {
      Samples& samples = said[sampled.request];
      if (samples.size() <= static_cast<size_t>(sampled.sample)) samples.resize(sampled.sample + 1);
      samples[sampled.sample].push_back(sampled.token);
    }
  }
  return said;
}

std::vector<uint64_t> add_all(Generator<Cpu, float>& generator, const Setup& setup) {
  std::vector<uint64_t> names;
  for (const GenerationRequest& ask : setup.requests()) names.push_back(generator.add(ask, setup.adapter(names.size())));
  return names;
}

std::vector<Samples> alone(const Setup& setup) {
  std::vector<Samples> all;
  const std::vector<GenerationRequest> requests = setup.requests();
  for (size_t i = 0; i < requests.size(); i++) {
    Cpu cpu(1);
    Generator<Cpu, float> generator(cpu, setup.model.config, setup.model.base(), setup.limits());
    const uint64_t name = generator.add(requests[i], setup.adapter(i));
    all.push_back(finish(generator)[name]);
  }
  return all;
}

}  // namespace

TEST("a request says the same alone and among others, on any number of threads, in much room and in little") {
  const Setup setup;
  const std::vector<Samples> want = alone(setup);
  for (const int variant : {0, 1, 2}) {
    Cpu cpu(1 + variant);
    GeneratorLimits limits = setup.limits();
    if (variant == 1) limits.samples = 3;
    if (variant == 2) limits.cache_rows = 200;
    Generator<Cpu, float> generator(cpu, setup.model.config, setup.model.base(), limits);
    const std::vector<uint64_t> names = add_all(generator, setup);
    std::map<uint64_t, Samples> said = finish(generator);
    for (size_t i = 0; i < want.size(); i++) CHECK(said[names[i]] == want[i]);
  }
}

TEST("a request that is cancelled, waiting or on its way, changes no other; its room is used again") {
  const Setup setup;
  const std::vector<Samples> want = alone(setup);
  for (const int64_t steps : {0, 1, 4}) {
    Cpu cpu(2);
    GeneratorLimits limits = setup.limits();
    limits.cache_rows = 200;
    limits.samples = 4;
    Generator<Cpu, float> generator(cpu, setup.model.config, setup.model.base(), limits);
    const std::vector<uint64_t> names = add_all(generator, setup);
    std::map<uint64_t, Samples> said;
    for (int64_t s = 0; s < steps; s++) {
      for (const SampledToken& sampled : generator.step()) {
        Samples& samples = said[sampled.request];
        samples.resize(std::max<size_t>(samples.size(), sampled.sample + 1));
        samples[sampled.sample].push_back(sampled.token);
      }
    }
    for (const size_t i : {1, 3, 8}) generator.cancel(names[i]);
    generator.cancel(names[1]);
    generator.cancel(12345);
    said = finish(generator, said);
    for (size_t i = 0; i < want.size(); i++)
      if (i != 1 && i != 3 && i != 8) CHECK(said[names[i]] == want[i]);
  }
}

TEST("sample k of a group is the same whatever the number of samples") {
  const Setup setup;
  GenerationRequest ask = setup.requests()[1];
  const auto first_three = [&](int64_t k) {
    ask.num_return_sequences = k;
    Cpu cpu(2);
    Generator<Cpu, float> generator(cpu, setup.model.config, setup.model.base(), setup.limits());
    const uint64_t name = generator.add(ask, setup.adapter(1));
    Samples samples = finish(generator)[name];
    CHECK_EQ(static_cast<int64_t>(samples.size()), k);
    samples.resize(3);
    return samples;
  };
  const Samples want = first_three(3);
  CHECK(first_three(8) == want);
  CHECK(first_three(200) == want);
  CHECK(want[0] != want[1]);
}

TEST("a long prompt in pieces is followed by what score finds best") {
  const Setup setup;
  GenerationRequest ask = setup.requests()[3];
  CHECK_EQ(ask.prompt.size(), size_t{150});
  ask.sampling = {.temperature = 0};
  ask.stop = {};
  Cpu cpu(2);
  Generator<Cpu, float> generator(cpu, setup.model.config, setup.model.base(), setup.limits());
  const uint64_t name = generator.add(ask);
  Ids context = ask.prompt;
  std::vector<Ids> every;
  for (int32_t id = 0; id < 61; id++) every.push_back({id});
  const Samples said = finish(generator)[name];
  for (const int32_t id : said[0]) {
    const auto logps = score(setup.dir, setup.path, GroupsFile().add(context, every).write(setup.dir, "every.safetensors")).logps;
    CHECK_EQ(id, static_cast<int32_t>(std::max_element(logps.begin(), logps.end()) - logps.begin()));
    context.push_back(id);
  }
}

TEST("rows are given out once, and joined again when they come back") {
  RowPool pool(10);
  const auto a = pool.take(4), b = pool.take(3), c = pool.take(3);
  CHECK(a && b && c && !pool.take(1));
  pool.give_back(*a, 4);
  pool.give_back(*c, 3);
  CHECK(!pool.take(5));
  pool.give_back(*b, 3);
  CHECK_EQ(pool.take(10).value_or(-1), 0);
}
