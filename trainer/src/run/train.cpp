// concord-trainer train JOB.json: load, plan, loop, save. Reads top to bottom as a run goes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <new>
#include <numeric>
#include <optional>

#include "error.h"
#include "model/random.h"
#include "optim/schedule.h"
#include "run/agreement.h"
#include "run/commands.h"
#include "run/device.h"
#include "run/engine.h"
#include "run/events.h"
#include "run/progress.h"
#include "run/reference.h"
#include "run/sha256.h"
#include "run/shares.h"
#include "run/signals.h"

namespace concord {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void refuse_to_fit(const Job& job) {
  out_of_memory("out of memory while " + job.file + " was running; lower micro_batch_tokens or max_length");
}

// Order of groups in an epoch: a function of seed and epoch, so the data position of a checkpoint is its step number.
std::vector<int64_t> epoch_order(int64_t groups, const Job& job, int64_t epoch) {
  std::vector<int64_t> order(groups);
  std::iota(order.begin(), order.end(), int64_t{0});
  if (job.shuffle) Random(static_cast<uint64_t>(job.seed), static_cast<uint64_t>(epoch)).shuffle(order);
  return order;
}

class Run {
 public:
  Run(const Job& job, Communicator& ranks)
      : job_(job), ranks_(ranks), cpu_(thread_count(ranks.local_size())), model_(job), max_length_(resolve_max_length(job, model_.config)), train_(load(job.train_file)) {
    if (!job.eval_file.empty()) eval_ = load(job.eval_file);
    if (!job.reference_adapter.empty()) reference_adapter_ = read_adapter(job.reference_adapter, model_.config);
    const auto groups = static_cast<int64_t>(train_.groups.size());
    extent_.steps_per_epoch = (groups + job.groups_per_step - 1) / job.groups_per_step;
    const double steps = std::ceil(job.num_train_epochs * static_cast<double>(extent_.steps_per_epoch));
    extent_.total_steps = job.max_steps.value_or(static_cast<int64_t>(steps));
    extent_.train_file_sha256 = sha256_file_hex(job.train_file);
    schedule_ = make_schedule(job, extent_.total_steps);
    MemoryNeed need{model_.layout.elements, model_.trainable(), 0, 0, model_.lora_ranks(), model_.dora(), cpu_.threads()};
    need.quantized_bytes = quantized_base_bytes(model_.config, job.quantization);
    need.cover(train_);
    if (eval_) need.cover(*eval_);
    if (reference_adapter_)
      need.lora_ranks = std::max(need.lora_ranks, ranks_max(make_lora<Cpu, float>(cpu_, model_.config, *reference_adapter_, false)));
    need.cuda = job.device.cuda;
    // In the plan, and not free any more.
    const int64_t held_bytes = job.device.cuda ? 0 : need.data_bytes + need.quantized_bytes + need.weights * static_cast<int64_t>(sizeof(float));
    const int64_t sharers = job.device.cuda ? 1 : ranks.local_size();
    plan_ = plan_memory(job, model_.config, need, available_memory_bytes(job.device) / sharers + held_bytes);
  }

  int execute(EventSink sink);

 private:
  Dataset load(const std::string& path) const;
  std::string checkpoint_to_resume() const;
  void allocate();
  int work(EventLog& events, const std::string& resume_from);
  void emit_start(EventLog& events, const std::string& resumed_from);
  void find_references();
  void look_for_references();
  void compute_references();
  void resume(const std::string& checkpoint);
  bool eval_due() const;
  bool save_due() const { return job_.save_steps && last_checkpoint_ != now_.step && now_.step % *job_.save_steps == 0; }
  bool stop_early() const { return job_.early_stopping_patience && now_.evals_since_best >= *job_.early_stopping_patience; }
  bool told_to_stop() { return (signal_ = agreed_signal(ranks_)) != 0; }
  void train_step(EventLog& events);
  void evaluate(EventLog& events);
  void checkpoint(EventLog& events);
  int stop(EventLog& events);
  int finish(EventLog& events);
  void save_result(EventLog& events);

  Job job_;
  Communicator& ranks_;
  Cpu cpu_;
  TrainedModel model_;
  int64_t max_length_;
  Dataset train_;
  std::optional<Dataset> eval_;
  std::optional<Adapter> reference_adapter_;
  RunExtent extent_;
  Schedule schedule_;
  MemoryPlan plan_;

  std::unique_ptr<Engine> engine_;
  ReferenceCache train_reference_, eval_reference_;
  Progress now_;
  std::vector<int64_t> order_;  // of epoch order_epoch_
  int64_t order_epoch_ = -1;
  int signal_ = 0;  // that some rank got
  int64_t last_checkpoint_ = 0;  // a step; the first one needs no checkpoint
};

Dataset Run::load(const std::string& path) const {
  return load_dataset(path, job_.signal(), job_.truncation_mode, max_length_, model_.config);
}

std::string Run::checkpoint_to_resume() const {
  const std::string newest = path_exists(job_.output_dir) ? find_checkpoint(job_.output_dir) : "";
  if (job_.resume_from_checkpoint.empty()) {
    if (!newest.empty()) {
      bad_input(job_.output_dir + ": holds checkpoints of an earlier run; set resume_from_checkpoint to \"auto\" to go on "
                "with it, or choose another output_dir");
    }
    return "";
  }
  if (job_.resume_from_checkpoint == "auto") return newest;
  const std::string problem = checkpoint_problem(job_.resume_from_checkpoint);
  if (!problem.empty()) bad_input(job_.resume_from_checkpoint + ": cannot resume from it: " + problem);
  return job_.resume_from_checkpoint;
}

void Run::allocate() {
  model_.allocate_training_state(job_);
  engine_ = make_engine(job_, cpu_, model_, plan_, reference_adapter_, ranks_);
}

int Run::execute(EventSink sink) {
  std::string resume_from = ranks_.first() ? checkpoint_to_resume() : "";
  ranks_.broadcast(resume_from);
  allocate();
  require_same_data(ranks_, job_, model_, extent_.train_file_sha256);
  find_references();
  EventLog events(job_.output_dir, ranks_.first() ? sink : EventSink::none);
  try {
    return work(events, resume_from);
  } catch (const Failure& failure) {
    events.emit_error({{"code", failure.code}, {"message", failure.what()}, {"step", now_.step}});
    throw;
  }
}

int Run::work(EventLog& events, const std::string& resume_from) try {
  emit_start(events, resume_from);
  compute_references();  // before resuming: full finetuning's reference is the base it started from
  if (!told_to_stop() && !resume_from.empty()) resume(resume_from);
  while (true) {
    if (eval_due()) evaluate(events);
    if (save_due()) checkpoint(events);
    if (told_to_stop()) return stop(events);
    if (now_.step == extent_.total_steps || stop_early()) return finish(events);
    train_step(events);
  }
} catch (const std::bad_alloc&) {
  refuse_to_fit(job_);
}

void Run::emit_start(EventLog& events, const std::string& resumed_from) {
  Json::Object fields = {{"job", job_json(job_)},
                         {"device", engine_->description()},
                         {"parameters", model_.base_parameters},
                         {"trainable_parameters", model_.trainable()},
                         {"memory", memory_json(plan_)},
                         {"max_length", max_length_},
                         {"steps_per_epoch", extent_.steps_per_epoch},
                         {"total_steps", extent_.total_steps},
                         {"train_data", report_json(train_.report)}};
  if (eval_) fields.emplace_back("eval_data", report_json(eval_->report));
  if (job_.needs_reference()) {
    const std::string source = job_.reference_adapter.empty() ? "base" : job_.reference_adapter;
    fields.emplace_back("reference", Json::Object{{"source", source}, {"cache", train_reference_.hit ? "hit" : "miss"}});
  }
  if (!resumed_from.empty()) fields.emplace_back("resumed_from", resumed_from);
  if (ranks_.size() > 1) fields.emplace_back("ranks", ranks_.size());
  events.emit("start", std::move(fields));
}

void Run::find_references() {
  if (!job_.needs_reference()) return;
  if (ranks_.first()) look_for_references();
  share_reference(ranks_, train_reference_, train_);
  if (eval_) share_reference(ranks_, eval_reference_, *eval_);
  extent_.reference_key = train_reference_.key;
}

void Run::look_for_references() {
  std::optional<Lora<Cpu, float>> lora;
  if (reference_adapter_) lora = make_lora<Cpu, float>(cpu_, model_.config, *reference_adapter_, false);
  const auto find = [&](const Dataset& data, const std::string& path) {
    return find_reference(data, path, numerics_of(job_.device), model_.base_key, lora ? &*lora : nullptr);
  };
  train_reference_ = find(train_, job_.train_file);
  if (eval_) eval_reference_ = find(*eval_, job_.eval_file);
}

void Run::compute_references() {
  if (!job_.needs_reference()) return;
  const ReferenceScorer scorer = [&](const PackedBatch& batch, std::vector<float>& logps) { engine_->score_reference(batch, logps); };
  if (!train_reference_.hit) {
    if (ranks_.first()) std::fprintf(stderr, "computing reference log-probabilities of %lld groups\n", static_cast<long long>(train_.report.groups));
    compute_reference(train_reference_, train_, scorer, plan_.micro_batch_tokens, ranks_);
  }
  if (eval_ && !eval_reference_.hit) compute_reference(eval_reference_, *eval_, scorer, plan_.micro_batch_tokens, ranks_);
}

void Run::resume(const std::string& checkpoint) {
  std::string values = ranks_.first() ? to_text(model_.load_state(checkpoint)) : "";
  ranks_.broadcast(values);
  now_ = read_progress(parse_json(values, checkpoint), checkpoint, job_, extent_);
  share_state(ranks_, model_);
  engine_->take_over();
  last_checkpoint_ = now_.step;
  if (ranks_.first()) std::fprintf(stderr, "resumed from %s at step %lld\n", checkpoint.c_str(), static_cast<long long>(now_.step));
}

bool Run::eval_due() const {
  if (!eval_ || now_.step == 0 || now_.last_eval == now_.step) return false;
  return now_.step == extent_.total_steps || (job_.eval_steps && now_.step % *job_.eval_steps == 0);
}

void Run::train_step(EventLog& events) {
  const auto start = Clock::now();
  const int64_t epoch = now_.step / extent_.steps_per_epoch;
  if (epoch != order_epoch_) {
    order_ = epoch_order(static_cast<int64_t>(train_.groups.size()), job_, epoch);
    order_epoch_ = epoch;
  }
  const int64_t first = now_.step % extent_.steps_per_epoch * job_.groups_per_step;
  const int64_t last = std::min(first + job_.groups_per_step, static_cast<int64_t>(order_.size()));

  const StepStats stats = engine_->run(train_, std::span(order_).subspan(first, last - first), train_reference_.logps, true, now_.step);
  if (told_to_stop()) return;  // perhaps cut short; done again when the run goes on
  double norm = engine_->gradient_norm();
  ranks_.broadcast(std::span(&norm, 1));
  if (!std::isfinite(stats.loss) || !std::isfinite(norm)) {
    non_finite("the " + std::string(std::isfinite(stats.loss) ? "gradient" : "loss") + " became non-finite at step " +
               std::to_string(now_.step + 1) + "; the last checkpoint is kept: lower learning_rate and resume or start anew");
  }
  const double rate = schedule_.rate(now_.step);
  engine_->update(rate, clip_factor(norm, job_.max_grad_norm));
  now_.step++;

  const double seconds = seconds_since(start);
  Json::Object fields = {{"step", now_.step},
                         {"epoch", static_cast<double>(now_.step) / static_cast<double>(extent_.steps_per_epoch)},
                         {"loss", stats.loss},
                         {"learning_rate", rate},
                         {"grad_norm", norm},
                         {"tokens", stats.tokens},
                         {"tokens_per_second", static_cast<double>(stats.tokens) / seconds},
                         {"memory_bytes", engine_->memory_bytes()}};
  stats.append_dpo(fields, "");
  events.emit("step", std::move(fields));
  if (ranks_.first()) std::fprintf(stderr, "step %lld/%lld loss %.4f %.0f tokens/s\n", static_cast<long long>(now_.step),
               static_cast<long long>(extent_.total_steps), stats.loss, static_cast<double>(stats.tokens) / seconds);
}

void Run::evaluate(EventLog& events) {
  const auto start = Clock::now();
  const std::vector<int64_t> all = [&] {
    std::vector<int64_t> groups(eval_->groups.size());
    std::iota(groups.begin(), groups.end(), int64_t{0});
    return groups;
  }();
  const StepStats stats = engine_->run(*eval_, all, eval_reference_.logps, false, now_.step);
  if (told_to_stop()) return;
  if (!std::isfinite(stats.loss)) {
    non_finite("the evaluation loss became non-finite at step " + std::to_string(now_.step) + "; the last checkpoint is kept");
  }
  now_.last_eval = now_.step;
  const double seconds = seconds_since(start);
  Json::Object fields = {{"step", now_.step},
                         {"epoch", static_cast<double>(now_.step) / static_cast<double>(extent_.steps_per_epoch)},
                         {"eval_loss", stats.loss},
                         {"eval_tokens", stats.tokens},
                         {"eval_tokens_per_second", static_cast<double>(stats.tokens) / seconds}};
  stats.append_dpo(fields, "eval_");
  events.emit("eval", std::move(fields));
  if (stats.loss < now_.best_loss) {
    now_.best_loss = stats.loss;
    now_.best_step = now_.step;
    now_.evals_since_best = 0;
    if (job_.load_best_model_at_end) checkpoint(events);
  } else {
    now_.evals_since_best++;
  }
}

void Run::checkpoint(EventLog& events) {
  engine_->store();
  require_same_parameters(ranks_, model_, now_.step);
  last_checkpoint_ = now_.step;
  if (!ranks_.first()) return;
  const std::string best = job_.load_best_model_at_end && now_.best_step > 0 ? "checkpoint-" + std::to_string(now_.best_step) : "";
  const std::string path = save_checkpoint(job_.output_dir, now_.step, job_.save_total_limit, best, [&](const std::string& dir) {
    model_.save_state(dir, progress_json(now_, job_, extent_));
  });
  events.emit("checkpoint", {{"step", now_.step}, {"path", path}});
  events.sync();
}

int Run::stop(EventLog& events) {
  if (last_checkpoint_ != now_.step) checkpoint(events);
  events.emit("end", {{"status", "stopped"}, {"step", now_.step}, {"resumable", true}});
  events.sync();
  ranks_.barrier();
  return signal_exit_code(signal_);
}

int Run::finish(EventLog& events) {
  engine_->store();
  require_same_parameters(ranks_, model_, now_.step);
  if (ranks_.first()) save_result(events);
  ranks_.barrier();
  return exit_done;
}

void Run::save_result(EventLog& events) {
  if (job_.load_best_model_at_end && now_.best_step > 0 && now_.best_step != now_.step) {
    model_.load_parameters(join_path(job_.output_dir, "checkpoint-" + std::to_string(now_.best_step)));
  }
  const std::string folder = model_.save_result(job_.output_dir);
  Json::Object fields = {{"status", now_.step < extent_.total_steps ? "stopped_early" : "done"},
                         {"step", now_.step},
                         {"best_step", now_.best_step > 0 ? Json(now_.best_step) : Json()}};
  fields.emplace_back(model_.lora ? "adapter" : "model", folder);
  events.emit("end", std::move(fields));
  events.sync();
}

int train_with(Communicator& ranks, const Job& asked, EventSink sink) try {
  Job job = asked;
  job.device = resolve_device(job.device, ranks.local_rank(), ranks.local_size());
  if (job.groups_per_step < ranks.size())
    bad_input(job.file + ": groups_per_step is " + std::to_string(job.groups_per_step) + ", too few for " + std::to_string(ranks.size()) +
              " ranks; start at most as many ranks as a step has groups");
  require_same_job(ranks, job);
  Run run(job, ranks);
  return run.execute(sink);
} catch (const std::bad_alloc&) {
  refuse_to_fit(asked);
}

}  // namespace

int run_train(const Job& asked, EventSink sink) {
  Communicator ranks(launch_from_environment(asked.output_dir));
  try {
    return train_with(ranks, asked, sink);
  } catch (const EndedByRank& ended) {
    (void)ranks.fail(ended);
    return ended.exit_code;
  } catch (const Failure& failure) {
    if (ranks.fail(failure)) return failure.exit_code;
    throw;
  } catch (const std::exception& error) {
    if (ranks.fail(Failure(1, "internal", error.what()))) return 1;
    throw;
  }
}

}  // namespace concord
