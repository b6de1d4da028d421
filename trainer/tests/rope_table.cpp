#include <numbers>

#include "check.h"
#include "model/rope_table.h"

using namespace concord;

namespace {

ModelConfig config(int64_t head_dim, RopeScaling::Type type = RopeScaling::Type::none) {
  ModelConfig c;
  c.head_dim = head_dim;
  c.rope_theta = 500'000;
  c.rope_scaling.type = type;
  c.rope_scaling.factor = 8;
  c.rope_scaling.low_freq_factor = 1;
  c.rope_scaling.high_freq_factor = 4;
  c.rope_scaling.original_max_position_embeddings = 8192;
  return c;
}

}  // namespace

TEST("angles are position times theta^(-2i/d)") {
  const ModelConfig c = config(8);
  const std::vector<double> table = rope_table<double>(c, 100);
  for (int64_t i = 0; i < 4; i++) {
    const double angle = 99 * std::pow(500'000, -static_cast<double>(i) / 4);
    CHECK_NEAR(table[99 * 8 + i], std::cos(angle), 1e-12);
    CHECK_NEAR(table[99 * 8 + 4 + i], std::sin(angle), 1e-12);
  }
}

TEST("linear scaling slows every angle") {
  const std::vector<double> plain = rope_frequencies(config(16)), slow = rope_frequencies(config(16, RopeScaling::Type::linear));
  for (size_t i = 0; i < plain.size(); i++) CHECK_NEAR(slow[i], plain[i] / 8, 1e-18);
}

TEST("llama3 scaling leaves what turned four times in 8192 positions, slows by 8 what did not turn once, blends between") {
  const std::vector<double> plain = rope_frequencies(config(128)), scaled = rope_frequencies(config(128, RopeScaling::Type::llama3));
  int64_t left = 0, slowed = 0, blended = 0;
  for (size_t i = 0; i < plain.size(); i++) {
    const double turns = 8192 * plain[i] / (2 * std::numbers::pi), kept = scaled[i] / plain[i];
    if (turns > 4) {
      CHECK_EQ(kept, 1.0);
      left++;
    } else if (turns < 1) {
      CHECK_NEAR(kept, 1.0 / 8, 1e-15);
      slowed++;
    } else {
      const double share = (turns - 1) / 3;
      CHECK_NEAR(kept, share + (1 - share) / 8, 1e-12);
      blended++;
    }
  }
  CHECK(left > 20 && slowed > 20 && blended > 3);
}
