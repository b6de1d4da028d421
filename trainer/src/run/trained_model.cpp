#include "run/trained_model.h"

#include <algorithm>

#include "error.h"
#include "run/base_hash.h"
#include "run/device.h"

namespace concord {
namespace {

std::vector<TensorOut> weight_tensors(const TrainedModel& model, bool in_base_dtype) {
  std::vector<TensorOut> tensors;
  for (size_t i = 0; i < model.layout.specs.size(); i++) {
    const WeightSpec& spec = model.layout.specs[i];
    const DType dtype = in_base_dtype ? model.dtypes[i] : DType::F32;
    tensors.push_back({spec.name, dtype, spec.shape, model.weights.data() + spec.offset, true});
  }
  return tensors;
}

Adapter starting_adapter(const Job& job, const ModelConfig& config) {
  if (!job.adapter_name_or_path.empty()) return read_adapter(job.adapter_name_or_path, config);
  AdapterConfig adapter_config = job.lora;
  adapter_config.base_model_name_or_path = job.model_name_or_path;
  Adapter adapter = new_adapter(adapter_config, config);
  initialize_adapter(adapter, job.seed);
  return adapter;
}

// LoRA+ (Hayou et al. 2024): B learns faster than A.
std::vector<ParameterRange> lora_ranges(const Lora<Cpu, float>& lora, const Job& job) {
  if (!job.loraplus_lr_ratio) return {{0, static_cast<int64_t>(lora.values.size()), job.weight_decay}};
  std::vector<ParameterRange> ranges;
  for (const auto& m : lora.modules) {
    ranges.push_back({m.a_offset, m.a_offset + m.r * m.in, job.weight_decay});
    ranges.push_back({m.b_offset, m.b_offset + m.out * m.r, job.weight_decay, *job.loraplus_lr_ratio});
    if (lora.config.use_dora)  // with B, as PEFT does
      ranges.push_back({m.magnitude_offset, m.magnitude_offset + m.out, job.weight_decay, *job.loraplus_lr_ratio});
  }
  return ranges;
}

void copy_moment(const SafetensorsFile& file, const char* name, std::vector<float>& to) {
  const TensorView* view = file.find(name);
  if (!view || view->elements() != static_cast<int64_t>(to.size())) {
    bad_input(file.path + ": tensor " + name + " is missing or of another size; the checkpoint belongs to another job");
  }
  to_f32(*view, to.data());
}

}  // namespace

TrainedModel::TrainedModel(const Job& job) {
  const CheckpointDir& files = base_files.emplace(open_checkpoint(job.model_name_or_path));
  config = files.config;
  config_json = files.config_json;
  layout = weight_layout(config, job.quantization);
  base_parameters = weight_layout(config).elements;
  for (const WeightSpec& spec : layout.specs) dtypes.push_back(files.tensor(spec.name).dtype);
  if (job.finetuning_type == FinetuningType::lora) take_adapter(job);
  if (lora && job.device.cuda) return;  // the GPU reads the base
  Cpu cpu(thread_count());
  HostBase host(cpu, config, job.quantization);
  read_base(job, host);
  weights = std::move(host.weights);
  quantized = std::move(host.quantized);
  if (magnitudes_due) {
    start_magnitudes(cpu, base(), *lora);
    magnitudes_due = false;
  } else {
    refresh(cpu);
  }
}

void TrainedModel::take_adapter(const Job& job) {
  Cpu cpu(1);
  lora = std::make_unique<Lora<Cpu, float>>(make_lora<Cpu, float>(cpu, config, starting_adapter(job, config), true));
  if (dora() && job.lora.lora_dropout > 0) bad_input(job.file + ": lora_dropout is not supported with a DoRA adapter, as " + job.adapter_name_or_path + " is");
  lora->config.lora_dropout = job.lora.lora_dropout;  // how it is trained now, whatever its first training did
  magnitudes_due = dora() && job.adapter_name_or_path.empty();
}

void TrainedModel::read_base(const Job& job, BaseSink& to) {
  Cpu cpu(thread_count());
  BaseHash hash(cpu, config_json, job.needs_reference());
  concord::read_base(cpu, *base_files, job.quantization, {&to, &hash});
  base_sample = hash.sample();
  base_key = hash.key();
  base_files.reset();
}

// As transformers' Trainer: vectors (norm weights) are not decayed.
void TrainedModel::allocate_training_state(const Job& job) {
  optimizer = std::make_unique<AdamW<Cpu, float>>(AdamWOptions{job.adam_beta1, job.adam_beta2, job.adam_epsilon}, trainable());
  if (lora) {
    ranges = lora_ranges(*lora, job);
    return;
  }
  weight_grads.assign(layout.elements, 0.0f);
  for (const WeightSpec& spec : layout.specs) {
    const double decay = spec.shape.size() > 1 ? job.weight_decay : 0;
    if (!ranges.empty() && ranges.back().weight_decay == decay) {
      ranges.back().end += spec.elements;
    } else {
      ranges.push_back({spec.offset, spec.offset + spec.elements, decay});
    }
  }
}

std::string TrainedModel::save_result(const std::string& output_dir) const {
  const std::string dir = join_path(output_dir, lora ? "adapter" : "model");
  if (lora) {
    write_adapter(dir, to_adapter(*lora));
  } else {
    write_checkpoint(dir, config_json, weight_tensors(*this, true));
  }
  return dir;
}

void TrainedModel::save_state(const std::string& dir, const Json& values) const {
  if (lora) {
    write_adapter(dir, to_adapter(*lora));
  } else {
    write_checkpoint(dir, config_json, weight_tensors(*this, false));
  }
  Json all = values;
  all.set("optimizer_steps", optimizer->steps);
  const std::vector<int64_t> shape = {trainable()};
  write_training_state(dir, all,
                       {{"exp_avg", DType::F32, shape, optimizer->m.data()}, {"exp_avg_sq", DType::F32, shape, optimizer->v.data()}});
}

void TrainedModel::load_parameters(const std::string& dir) {
  if (lora) {
    Cpu cpu(thread_count());
    const Lora<Cpu, float> saved = make_lora<Cpu, float>(cpu, config, read_adapter(dir, config), false);
    const bool same = saved.modules.size() == lora->modules.size() && saved.values.size() == lora->values.size() &&
                      std::equal(saved.modules.begin(), saved.modules.end(), lora->modules.begin(),
                                 [](const auto& a, const auto& b) { return a.name == b.name && a.r == b.r && a.scaling == b.scaling; });
    if (!same) bad_input(dir + ": its adapter has other modules or ranks than this job's");
    std::copy(saved.values.begin(), saved.values.end(), lora->values.begin());
    return;
  }
  const CheckpointDir checkpoint = open_checkpoint(dir);
  const WeightLayout saved = weight_layout(checkpoint.config);
  if (saved.elements != layout.elements) bad_input(dir + ": its weights have other shapes than the job's model");
  for (const WeightSpec& spec : layout.specs)
    checkpoint.read_weight(spec.name, 0, std::span(weights).subspan(static_cast<size_t>(spec.offset), static_cast<size_t>(spec.elements)));
}

Json TrainedModel::load_state(const std::string& dir) {
  load_parameters(dir);
  const TrainingState state = read_training_state(dir);
  copy_moment(state.optimizer, "exp_avg", optimizer->m);
  copy_moment(state.optimizer, "exp_avg_sq", optimizer->v);
  optimizer->steps = JsonAt{&state.values, dir, ""}["optimizer_steps"].integer(0, INT64_MAX);
  return state.values;
}

}  // namespace concord
