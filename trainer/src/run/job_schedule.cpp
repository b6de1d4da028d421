#include "run/job_schedule.h"

#include "run/job_values.h"

namespace concord {
namespace {

const std::vector<std::pair<const char*, SchedulerType>> schedulers = {{"linear", SchedulerType::linear},
                                                                      {"cosine", SchedulerType::cosine},
                                                                      {"cosine_with_min_lr", SchedulerType::cosine_with_min_lr},
                                                                      {"constant", SchedulerType::constant},
                                                                      {"constant_with_warmup", SchedulerType::constant_with_warmup}};

void read_floor(const JsonAt& kwargs, Job& job) {
  if (job.lr_scheduler_type != SchedulerType::cosine_with_min_lr) {
    if (given(kwargs) && !kwargs.object().empty()) kwargs.refuse("is not used by this lr_scheduler_type; cosine_with_min_lr uses it");
    return;
  }
  if (given(kwargs))
    for (const auto& [key, value] : kwargs.object())
      if (key != "min_lr" && key != "min_lr_rate") kwargs[key].refuse("is not supported; supported: min_lr, min_lr_rate");
  const JsonAt rate = kwargs["min_lr"], ratio = kwargs["min_lr_rate"];
  if (given(rate) == given(ratio))
    kwargs.refuse("must have either min_lr, the lowest learning rate, or min_lr_rate, its share of learning_rate, for lr_scheduler_type cosine_with_min_lr");
  if (given(rate)) job.min_lr = rate.number(0, job.learning_rate);
  if (given(ratio)) job.min_lr_rate = ratio.number(0, 1);
}

}  // namespace

void read_schedule(const JsonAt& at, Job& job) {
  if (at["lr_scheduler_type"]) job.lr_scheduler_type = choice(at["lr_scheduler_type"], schedulers);
  read_floor(at["lr_scheduler_kwargs"], job);
  if (job.lr_scheduler_type == SchedulerType::constant)
    refuse_unused(at, "by lr_scheduler_type constant; constant_with_warmup uses it", {"warmup_ratio", "warmup_steps"});
  if (given(at["warmup_ratio"]) && given(at["warmup_steps"])) at["warmup_ratio"].refuse("and warmup_steps exclude each other");
  if (given(at["warmup_ratio"])) read(at["warmup_ratio"], job.warmup_ratio, 0, 1);
  read(at["warmup_steps"], job.warmup_steps, 0, steps_max);
}

void add_schedule(const Job& job, Json& out) {
  for (const auto& [name, type] : schedulers)
    if (type == job.lr_scheduler_type) out.set("lr_scheduler_type", name);
  if (job.min_lr) out.set("lr_scheduler_kwargs", Json::Object{{"min_lr", *job.min_lr}});
  if (job.min_lr_rate) out.set("lr_scheduler_kwargs", Json::Object{{"min_lr_rate", *job.min_lr_rate}});
  if (job.warmup_steps) out.set("warmup_steps", *job.warmup_steps);
  else if (job.lr_scheduler_type != SchedulerType::constant) out.set("warmup_ratio", job.warmup_ratio);
}

}  // namespace concord
