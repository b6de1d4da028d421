#include "check.h"
#include "error.h"
#include "run/job.h"

using namespace concord;

// A job of the required keys plus `members`.
static Job parse(const std::string& members, const std::string& objective = "dpo") {
  const std::string text = R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":")" + objective + "\"" +
                           (members.empty() ? "" : "," + members) + "}";
  return parse_job(parse_json(text, "job.json"), "job.json");
}

TEST("fills in the contract's defaults") {
  const Job job = parse("");
  CHECK(job.objective == Objective::dpo && job.finetuning_type == FinetuningType::lora);
  CHECK(job.loss.type == LossType::sigmoid);
  CHECK_EQ(job.loss.beta, 0.1);
  CHECK_EQ(job.lora.r, 8);
  CHECK_EQ(job.lora.lora_alpha, 16.0);
  CHECK(job.lora.all_linear);
  CHECK_EQ(job.learning_rate, 1e-5);
  CHECK_EQ(parse("", "sft").learning_rate, 2e-4);
  CHECK_EQ(parse(R"("finetuning_type":"full")", "sft").learning_rate, 2e-5);
  CHECK(job.lr_scheduler_type == SchedulerType::linear);
  CHECK_EQ(job.adam_beta2, 0.999);
  CHECK_EQ(job.max_grad_norm, 1.0);
  CHECK_EQ(job.num_train_epochs, 1.0);
  CHECK(!job.max_steps && !job.save_steps && !job.eval_steps);
  CHECK_EQ(job.groups_per_step, 8);
  CHECK_EQ(job.micro_batch_tokens, 0);
  CHECK_EQ(job.save_total_limit, 2);
  CHECK_EQ(job.seed, 42);
  CHECK(job.shuffle && job.resume_from_checkpoint.empty());
}

TEST("reads every key") {
  const Job job = parse(
      R"("eval_file":"e","reference_adapter":"ref","loss_type":"sigmoid","beta":1,"label_smoothing":0.1,"r":4,"lora_alpha":8.5,
      "lora_dropout":0,"target_modules":["q_proj"],"rank_pattern":{"q_proj":2},"alpha_pattern":{"q_proj":3},"use_rslora":true,"use_dora":true,
      "learning_rate":0.005,"lr_scheduler_type":"cosine","warmup_steps":3,"adam_beta1":0.8,"adam_beta2":0.9,"adam_epsilon":1e-6,
      "weight_decay":0.01,"max_grad_norm":0,"num_train_epochs":2.5,"max_steps":7,"groups_per_step":3,"micro_batch_tokens":128,
      "max_length":64,"truncation_mode":"keep_end","gradient_checkpointing":"auto","eval_steps":2,"save_steps":4,"save_total_limit":null,
      "early_stopping_patience":2,"load_best_model_at_end":true,"seed":1,"shuffle":false,"resume_from_checkpoint":"auto")");
  CHECK_EQ(job.lora.lora_alpha, 8.5);
  CHECK(job.lora.use_dora);
  CHECK_EQ(job.lora.rank_pattern[0].second, 2);
  CHECK_EQ(job.lora.alpha_pattern[0].second, 3.0);
  CHECK(job.lora.use_rslora && !job.lora.all_linear);
  CHECK(job.lr_scheduler_type == SchedulerType::cosine && job.truncation_mode == TruncationMode::keep_end);
  CHECK_EQ(*job.warmup_steps, 3);
  CHECK_EQ(*job.max_steps, 7);
  CHECK_EQ(job.micro_batch_tokens, 128);
  CHECK_EQ(job.save_total_limit, 0);
  CHECK_EQ(job.reference_adapter, "ref");
  CHECK_EQ(job.resume_from_checkpoint, "auto");
}

TEST("the resolved job reads as the same job") {
  for (const char* members : {"", R"("loss_type":"robust","label_smoothing":0.1,"rpo_alpha":0.5)", R"("loss_type":"simpo","simpo_gamma":1)",
                              R"("loss_type":"kto","desirable_weight":2)", R"("loss_type":"plackett_luce","reference_adapter":"a")",
                              R"("loss_type":"orpo")", R"("loss_type":"discopop","discopop_tau":0.1)", R"("max_steps":3,"warmup_steps":1,"lr_scheduler_type":"cosine","target_modules":["q_proj"])",
                              R"("lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr_rate":0.1})", R"("lr_scheduler_type":"constant","micro_batch_tokens":5)", R"("adapter_name_or_path":"a","loraplus_lr_ratio":4)",
                              R"("finetuning_type":"full","warmup_ratio":0.1)"}) {
    const Json first = job_json(parse(members));
    CHECK_EQ(to_text(job_json(parse_job(first, "again"))), to_text(first));
  }
}

TEST("each key refuses a wrong type, naming itself") {
  const char* numbers[] = {"beta", "label_smoothing", "lora_alpha", "lora_dropout", "learning_rate", "warmup_ratio", "adam_beta1",
                           "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm", "num_train_epochs", "loraplus_lr_ratio", "rpo_alpha"};
  for (const std::string key : numbers) {
    CHECK_THROWS_WITH(parse("\"" + key + "\":\"1\""), "job.json: " + key + " must be a number, not \"1\"");
    CHECK_THROWS_WITH(parse("\"" + key + "\":true"), key + " must be a number");
    CHECK_THROWS_WITH(parse("\"" + key + "\":-1"), key + " is -1, but must be from 0");
  }
  const char* integers[] = {"r", "warmup_steps", "max_steps", "groups_per_step", "micro_batch_tokens", "max_length", "save_steps",
                            "save_total_limit", "seed", "eval_steps", "early_stopping_patience"};
  for (const std::string key : integers) {
    CHECK_THROWS_WITH(parse("\"" + key + "\":2.0"), "job.json: " + key + " must be an integer");
    CHECK_THROWS_WITH(parse("\"" + key + "\":\"2\""), key + " must be an integer");
    CHECK_THROWS_WITH(parse("\"" + key + "\":-2"), key + " is -2, but must be from");
  }
  for (const std::string key : {"use_rslora", "use_dora", "load_in_4bit", "bnb_4bit_use_double_quant", "load_in_fp8", "load_best_model_at_end", "shuffle"}) {
    CHECK_THROWS_WITH(parse("\"" + key + "\":1"), "job.json: " + key + " must be true or false, not 1");
    CHECK_THROWS_WITH(parse("\"" + key + "\":null"), key + " must be true or false, not null");
  }
  for (const std::string key : {"adapter_name_or_path", "reference_adapter", "eval_file", "loss_type", "finetuning_type", "lr_scheduler_type",
                                "truncation_mode", "resume_from_checkpoint"}) {
    CHECK_THROWS_WITH(parse("\"" + key + "\":1"), "job.json: " + key + " must be a string, not 1");
    CHECK_THROWS_WITH(parse("\"" + key + "\":[]"), key + " must be a string, not an array");
  }
  CHECK_THROWS_WITH(parse(R"("target_modules":1)"), "target_modules must be an array");
  CHECK_THROWS_WITH(parse(R"("target_modules":[1])"), "target_modules[0] must be a string");
  CHECK_THROWS_WITH(parse(R"("rank_pattern":[])"), "rank_pattern must be an object");
  CHECK_THROWS_WITH(parse(R"("alpha_pattern":{"q_proj":"x"})"), "alpha_pattern.q_proj must be a number");
  CHECK_THROWS_WITH(parse(R"("gradient_checkpointing":"yes")"), "gradient_checkpointing must be");
  CHECK_THROWS_WITH(parse(R"("beta":null)"), "beta must be a number, not null");
}

TEST("each value out of range is refused") {
  for (const auto& [members, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("beta":0)", "beta must be greater than 0"},
           {R"("label_smoothing":0.6)", "label_smoothing is 0.6, but must be from 0 to 0.5"},
           {R"("r":2000)", "r is 2000"},
           {R"("loraplus_lr_ratio":0)", "loraplus_lr_ratio must be greater than 0"},
           {R"("learning_rate":0)", "learning_rate must be greater than 0"},
           {R"("learning_rate":11)", "learning_rate is 11"},
           {R"("warmup_ratio":1.1)", "warmup_ratio is 1.1"},
           {R"("adam_beta1":1)", "adam_beta1 must be less than 1"},
           {R"("adam_beta2":1.0)", "adam_beta2 must be less than 1"},
           {R"("adam_epsilon":0)", "adam_epsilon must be greater than 0"},
           {R"("num_train_epochs":0)", "num_train_epochs must be greater than 0"},
           {R"("max_steps":0)", "max_steps is 0"},
           {R"("groups_per_step":0)", "groups_per_step is 0"},
           {R"("micro_batch_tokens":0)", "micro_batch_tokens is 0"},
           {R"("max_length":0)", "max_length is 0"},
           {R"("save_steps":0)", "save_steps is 0"},
           {R"("save_total_limit":0)", "save_total_limit is 0"},
           {R"("lr_scheduler_type":"cosine_with_min_lr")", "lr_scheduler_kwargs must have either min_lr"},
           {R"("lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr":1e-9,"min_lr_rate":0.1})", "lr_scheduler_kwargs must have either min_lr"},
           {R"("lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr":9})", "lr_scheduler_kwargs.min_lr is 9"},
           {R"("lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"min_lr_rate":1.5})", "lr_scheduler_kwargs.min_lr_rate is 1.5"},
           {R"("lr_scheduler_type":"cosine_with_min_lr","lr_scheduler_kwargs":{"num_cycles":1})", "lr_scheduler_kwargs.num_cycles is not supported"},
           {R"("lr_scheduler_type":"cosine","lr_scheduler_kwargs":{"min_lr_rate":0.1})", "lr_scheduler_kwargs is not used by this lr_scheduler_type"},
           {R"("lr_scheduler_type":"step")", "lr_scheduler_type is \"step\", but must be one of: linear, cosine"},
           {R"("truncation_mode":"cut")", "truncation_mode is \"cut\""},
           {R"("finetuning_type":"freeze")", "finetuning_type is \"freeze\""},
           {R"("loss_type":"sigmiod")", "loss_type is \"sigmiod\", but must be one of: sigmoid, robust, hinge, ipo"},
           {R"("loss_type":"robust","label_smoothing":0.5)", "label_smoothing must be less than 0.5"},
           {R"("loss_type":"exo_pair")", "label_smoothing must be greater than 0 for loss_type exo_pair"},
           {R"("loss_type":"discopop","discopop_tau":0)", "discopop_tau must be greater than 0"},
           {R"("loss_type":"simpo","simpo_gamma":-1)", "simpo_gamma is -1"},
           {R"("loss_type":"kto","desirable_weight":0,"undesirable_weight":0)", "desirable_weight and undesirable_weight are both 0"},
           {R"("rpo_alpha":-1)", "rpo_alpha is -1"},
           {R"("lora_dropout":0.1)", "lora_dropout must be 0 for objective dpo"},
           {R"("eval_file":"")", "eval_file is empty"}})
    CHECK_THROWS_WITH(parse(members), std::string("job.json: ") + text);
}

TEST("required keys are named when missing") {
  const auto without = [](const std::string& key) {
    Json json = parse_json(R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":"sft"})", "job.json");
    std::erase_if(std::get<Json::Object>(json.value), [&](const auto& member) { return member.first == key; });
    return parse_job(json, "job.json");
  };
  for (const std::string key : {"model_name_or_path", "train_file", "output_dir", "objective"})
    CHECK_THROWS_WITH(without(key), "job.json: " + key + " is missing");
  CHECK_THROWS_WITH(parse_job(Json(Json::Array{}), "job.json"), "must be an object");
}

TEST("a device is the CPU, or a GPU where the build has code for one") {
  for (const char* members : {"", R"("device":"auto")"}) CHECK(parse(members).device.automatic);
  CHECK_EQ(parse(R"("device":"cpu")").device.name(), "cpu");
  CHECK_EQ(resolve_device(parse(R"("device":"cpu")").device).name(), "cpu");
  for (const char* word : {"gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:1000", ""})
    CHECK_THROWS_WITH(parse(std::string(R"("device":")") + word + "\""), "job.json: device is \"" + std::string(word) + "\", but must be auto, cpu, cuda or cuda:N");
#ifdef CONCORD_CUDA
  CHECK_EQ(parse(R"("device":"cuda")").device.index, 0);
  CHECK_EQ(parse(R"("device":"cuda:3")").device.index, 3);
  CHECK_THROWS_WITH(resolve_device(parse(R"("device":"cuda:3")").device, 1, 2), "device is cuda:3, but 2 ranks run on this host");
#else
  CHECK_EQ(resolve_device(parse("").device).name(), "cpu");
  CHECK_THROWS_WITH(parse(R"("device":"cuda")"), "job.json: device is \"cuda\", but this build has no CUDA backend");
#endif
}

TEST("an unknown key is refused with what was meant") {
  for (const auto& [key, near] : std::initializer_list<std::pair<std::string, std::string>>{{"learning_rte", "learning_rate"},
                                                                                           {"lora_aplha", "lora_alpha"},
                                                                                           {"num_epochs", "num_train_epochs"},
                                                                                           {"targetmodules", "target_modules"},
                                                                                           {"Beta", "beta"},
                                                                                           {"lora_r", "r"},
                                                                                           {"per_device_train_batch_size", "groups_per_step"},
                                                                                           {"grad_checkpointing", "gradient_checkpointing"}})
    if (key != "num_epochs" && key != "grad_checkpointing")
      CHECK_THROWS_WITH(parse("\"" + key + "\":1"), "\"" + key + "\" is no key of a job; did you mean \"" + near + "\"?");
    else CHECK_THROWS_WITH(parse("\"" + key + "\":1"), "\"" + key + "\" is no key of a job");
  CHECK_THROWS_WITH(parse(R"("zzzzzzzzzzzzzz":1)"), "\"zzzzzzzzzzzzzz\" is no key of a job");
  CHECK_THROWS_WITH(parse("\"" + std::string(100000, 'x') + "\":1"), "is no key of a job");
}

TEST("a frozen base is quantized in one way") {
  CHECK(parse("").quantization == Quantization::none);
  CHECK(parse(R"("load_in_4bit":true)").quantization == Quantization::nf4);
  CHECK(parse(R"("load_in_4bit":true,"bnb_4bit_use_double_quant":true)").quantization == Quantization::nf4_double);
  CHECK(parse(R"("load_in_fp8":true)").quantization == Quantization::fp8);
  CHECK_THROWS_WITH(parse(R"("load_in_fp8":true,"load_in_4bit":true)"), "load_in_fp8 and load_in_4bit exclude each other");
  CHECK_THROWS_WITH(parse(R"("load_in_fp8":true,"bnb_4bit_use_double_quant":true)"), "bnb_4bit_use_double_quant needs load_in_4bit");
  CHECK_THROWS_WITH(parse(R"("bnb_4bit_use_double_quant":true)"), "bnb_4bit_use_double_quant needs load_in_4bit");
  CHECK_THROWS_WITH(parse(R"("finetuning_type":"full","load_in_4bit":true)"), "load_in_4bit needs finetuning_type lora");
  CHECK_THROWS_WITH(parse(R"("finetuning_type":"full","load_in_fp8":true)"), "load_in_fp8 needs finetuning_type lora");
}

TEST("an option that has no effect is refused") {
  for (const std::string key : {"beta", "label_smoothing", "loss_type", "reference_adapter"})
    CHECK_THROWS_WITH(parse("\"" + key + "\":1", "sft"), key + " is not used by objective sft");
  for (const LossSpec& loss : loss_specs()) {
    const std::string name = loss.name, smoothing = loss.type == LossType::exo_pair ? R"(,"label_smoothing":0.1)" : "";
    const std::pair<const char*, bool> keys[] = {
        {"label_smoothing", loss.label_smoothing}, {"rpo_alpha", loss.rpo_alpha},          {"simpo_gamma", loss.simpo_gamma},
        {"discopop_tau", loss.discopop_tau},       {"desirable_weight", loss.vote_weights}, {"undesirable_weight", loss.vote_weights}};
    for (const auto& [key, used] : keys) {
      const std::string members = R"("loss_type":")" + name + "\"" + (std::string(key) == "label_smoothing" ? "" : smoothing) + ",\"" + key + "\":0.25";
      if (used) parse(members);
      else CHECK_THROWS_WITH(parse(members), std::string(key) + " is not used by loss_type " + name);
    }
    const std::string reference = R"("loss_type":")" + name + "\"" + smoothing + R"(,"reference_adapter":"a")";
    if (loss.reference) CHECK_EQ(parse(reference).reference_adapter, "a");
    else CHECK_THROWS_WITH(parse(reference), "reference_adapter is not used by loss_type " + name);
  }
  for (const std::string key : {"r", "lora_alpha", "target_modules", "use_rslora", "adapter_name_or_path"})
    CHECK_THROWS_WITH(parse(R"("finetuning_type":"full",)" + ("\"" + key + "\":\"x\"")), key + " is not used by finetuning_type full");
  for (const std::string key : {"r", "lora_alpha", "target_modules", "rank_pattern", "use_rslora"})
    CHECK_THROWS_WITH(parse(R"("adapter_name_or_path":"a",)" + ("\"" + key + "\":1")), key + " is not used with adapter_name_or_path");
  CHECK_THROWS_WITH(parse(R"("warmup_steps":1,"lr_scheduler_type":"constant")"), "warmup_steps is not used by lr_scheduler_type constant");
  CHECK_THROWS_WITH(parse(R"("warmup_steps":1,"warmup_ratio":0.1)"), "warmup_ratio and warmup_steps exclude each other");
  CHECK_THROWS_WITH(parse(R"("eval_steps":1)"), "eval_steps needs eval_file");
  CHECK_THROWS_WITH(parse(R"("load_best_model_at_end":true)"), "load_best_model_at_end needs");
}
