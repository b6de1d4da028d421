#include "check.h"
#include "error.h"
#include "model/random.h"
#include "optim/adamw.h"
#include "optim/schedule.h"

using namespace concord;

namespace {

Schedule schedule(SchedulerType type, int64_t warmup_steps, int64_t total_steps) { return {type, 2.0, warmup_steps, total_steps}; }

Job job_with(const std::string& members) {
  return parse_job(parse_json(R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":"dpo",)" + members + "}", "job"), "job");
}

}  // namespace

TEST("AdamW follows its formula step by step, decay apart from the gradient, ranges at their own rate") {
  Cpu cpu(2);
  const int64_t n = 50'000;  // several pieces
  const double beta1 = 0.8, beta2 = 0.95, epsilon = 1e-6, rate = 0.01, decay = 0.1, clip = 0.5;
  AdamW<Cpu, double> state({beta1, beta2, epsilon}, n);
  Random random(1, 0);
  std::vector<double> p(n), m(n, 0), v(n, 0), grads(n);
  for (double& x : p) x = random.uniform() - 0.5;
  std::vector<double> want = p;
  for (int t = 1; t <= 5; t++) {
    for (double& g : grads) g = random.uniform() - 0.5;
    adamw_step(cpu, state, {{0, n / 2, decay}, {n / 2, n, 0, 3}}, rate, clip, p.data(), grads.data());
    for (int64_t i = 0; i < n; i++) {
      const double g = clip * grads[i];
      want[i] -= rate * (i < n / 2 ? decay : 0) * want[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      want[i] -= rate * (i < n / 2 ? 1 : 3) * (m[i] / (1 - std::pow(beta1, t))) / (std::sqrt(v[i] / (1 - std::pow(beta2, t))) + epsilon);
    }
  }
  for (int64_t i = 0; i < n; i++) CHECK_NEAR(p[i], want[i], 1e-13);
  CHECK_EQ(state.steps, 5);
}

TEST("the norm of a gradient: large values do not overflow, threads change nothing") {
  Cpu one(1), many(3);
  std::vector<float> x(100'000, 3e30f);
  CHECK_NEAR(global_norm(one, x.data(), 100'000), 3e30 * std::sqrt(1e5), 1e26);
  Random random(2, 0);
  for (float& v : x) v = static_cast<float>(random.uniform());
  CHECK_EQ(global_norm(one, x.data(), 100'000), global_norm(many, x.data(), 100'000));
  CHECK_EQ(global_norm(one, x.data(), 0), 0.0);
}

TEST("clipping brings the norm down to max_grad_norm and never up; 0 turns it off") {
  CHECK_NEAR(clip_factor(10, 1), 0.1, 1e-7);
  CHECK_EQ(clip_factor(0.5, 1), 1.0);
  CHECK_EQ(clip_factor(1e9, 0), 1.0);
}

TEST("schedules, as transformers has them") {
  CHECK_EQ(schedule(SchedulerType::constant, 0, 10).rate(9), 2.0);
  const Schedule linear = schedule(SchedulerType::linear, 4, 12);
  CHECK_EQ(linear.rate(0), 0.0);
  CHECK_EQ(linear.rate(1), 0.5);
  CHECK_EQ(linear.rate(4), 2.0);
  CHECK_EQ(linear.rate(8), 1.0);
  CHECK_EQ(linear.rate(11), 0.25);
  const Schedule cosine = schedule(SchedulerType::cosine, 4, 12);
  CHECK_EQ(cosine.rate(2), 1.0);
  CHECK_NEAR(cosine.rate(8), 1.0, 1e-15);
  CHECK_NEAR(cosine.rate(10), 1 + std::cos(0.75 * std::acos(-1)), 1e-15);
  const char* const floored[] = {R"("learning_rate":2,"warmup_steps":4,"lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr":0.5})",
                                 R"("learning_rate":2,"warmup_steps":4,"lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr_rate":0.25})"};
  for (const char* members : floored) {
    const Schedule floor = make_schedule(job_with(members), 12);
    CHECK_EQ(floor.rate(2), 1.0);
    CHECK_EQ(floor.rate(4), 2.0);
    CHECK_NEAR(floor.rate(6), 1.780330085889911, 1e-15);  // transformers 5.18, get_cosine_with_min_lr_schedule_with_warmup
    CHECK_NEAR(floor.rate(8), 1.25, 1e-15);
    CHECK_NEAR(floor.rate(12), 0.5, 1e-15);
  }
  const Schedule warmup = schedule(SchedulerType::constant_with_warmup, 4, 12);
  CHECK_EQ(warmup.rate(3), 1.5);
  for (int64_t step = 4; step < 12; step++) CHECK_EQ(warmup.rate(step), 2.0);
}

TEST("warmup_ratio is of all steps, rounded up; warmup may outlast the run") {
  const Schedule third = make_schedule(job_with(R"("warmup_ratio":0.31,"learning_rate":1)"), 10);
  CHECK_EQ(third.warmup_steps, 4);
  CHECK_EQ(third.rate(2), 0.5);
  const Schedule longer = make_schedule(job_with(R"("warmup_steps":100,"learning_rate":1)"), 10);
  CHECK_EQ(longer.rate(9), 0.09);
}
