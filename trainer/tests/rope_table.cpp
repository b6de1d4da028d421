#include <numbers>

#include "check.h"
#include "model/rope_table.h"

using namespace concord;

namespace {

Rope rope(int64_t rotary_dim, RopeScaling::Type type = RopeScaling::Type::none) {
  Rope r;
  r.theta = 500'000;
  r.rotary_dim = rotary_dim;
  r.scaling.type = type;
  r.scaling.factor = 8;
  r.scaling.low_freq_factor = 1;
  r.scaling.high_freq_factor = 4;
  r.scaling.original_max_position_embeddings = 8192;
  return r;
}

std::vector<double> table_of(const Rope& r, int64_t positions) {
  const int64_t rows = rope_rows(r, positions);
  std::vector<double> table(rows * r.rotary_dim);
  fill_rope_table<double>(r, {table.data(), rows, r.rotary_dim});
  return table;
}

}  // namespace

TEST("angles are position times theta^(-2i/d)") {
  const std::vector<double> table = table_of(rope(8), 100);
  CHECK_EQ(table.size(), size_t{800});
  for (int64_t i = 0; i < 4; i++) {
    const double angle = 99 * std::pow(500'000, -static_cast<double>(i) / 4);
    CHECK_NEAR(table[99 * 8 + i], std::cos(angle), 1e-12);
    CHECK_NEAR(table[99 * 8 + 4 + i], std::sin(angle), 1e-12);
  }
}

TEST("linear scaling slows every angle") {
  const std::vector<double> plain = rope_frequencies(rope(16)), slow = rope_frequencies(rope(16, RopeScaling::Type::linear));
  for (size_t i = 0; i < plain.size(); i++) CHECK_NEAR(slow[i], plain[i] / 8, 1e-18);
}

TEST("yarn leaves what turns 32 times in 8192 positions, slows by 8 what does not turn once, and ramps between") {
  const std::vector<double> plain = rope_frequencies(rope(128)), scaled = rope_frequencies(rope(128, RopeScaling::Type::yarn));
  int64_t left = 0, slowed = 0, between = 0;
  for (size_t i = 0; i < plain.size(); i++) {
    const double turns = 8192 * plain[i] / (2 * std::numbers::pi), kept = scaled[i] / plain[i];
    CHECK(kept <= 1 + 1e-15 && kept >= 1.0 / 8 - 1e-15);
    if (turns > 40) CHECK_NEAR(kept, 1, 1e-15), left++;
    else if (turns < 0.8) CHECK_NEAR(kept, 1.0 / 8, 1e-15), slowed++;
    else between++;
  }
  CHECK(left > 15 && slowed > 15 && between > 5);
}

TEST("longrope: short factors up to the original length, long ones for every position of a longer sequence, and its attention factor") {
  Rope r = rope(4, RopeScaling::Type::longrope);
  r.theta = 100;
  r.scaling.original_max_position_embeddings = 5;
  r.scaling.short_factor = {1, 2};
  r.scaling.long_factor = {4, 8};
  r.scaling.attention_factor = 1.5;
  CHECK_EQ(rope_rows(r, 5), 5);
  CHECK_EQ(rope_rows(r, 7), 5 + 7);
  const std::vector<double> table = table_of(r, 7);
  CHECK_NEAR(table[3 * 4 + 1], 1.5 * std::cos(3 * 0.1 / 2), 1e-12);
  CHECK_NEAR(table[(5 + 3) * 4 + 1], 1.5 * std::cos(3 * 0.1 / 8), 1e-12);
  CHECK_NEAR(table[(5 + 6) * 4 + 2], 1.5 * std::sin(6.0 / 4), 1e-12);
}

TEST("llama3 scaling leaves what turned four times in 8192 positions, slows by 8 what did not turn once, blends between") {
  const std::vector<double> plain = rope_frequencies(rope(128)), scaled = rope_frequencies(rope(128, RopeScaling::Type::llama3));
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
