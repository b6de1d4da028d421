// A really trained model (stories260K, 260 000 parameters) against float64 losses and gradients computed elsewhere.
#include "pass.h"
#include "tiny_model.h"

using namespace concord;

namespace {

const std::string stories = std::string(CONCORD_SHARED_DIR) + "/data/tiny-llm-stories260k";

struct Golden {
  TempDir dir;
  Json json;

  Golden() {
    if (!path_exists(stories)) SKIP("needs " + stories);
    json = parse_json(read_file(stories + "/golden-losses.json").text(), "golden-losses.json");
  }
  JsonAt operator[](const char* key) const { return JsonAt{&json, "golden-losses.json", ""}[key]; }

  std::string write_pair(size_t p) const {
    const JsonAt pair = (*this)["dpo"][p];
    const tiny::Ids chosen = ids(pair["chosen_ids"]), rejected = ids(pair["rejected_ids"]);
    const int64_t start = pair["chosen_completion_start"].integer(1, 512);
    CHECK_EQ(start, pair["rejected_completion_start"].integer(1, 512));
    tiny::GroupsFile file;
    file.add({chosen.begin(), chosen.begin() + start}, {{chosen.begin() + start, chosen.end()}, {rejected.begin() + start, rejected.end()}});
    file.groups.has_pairs = true;
    file.groups.pairs = {{1, 2}};
    return file.write(dir);
  }

  static tiny::Ids ids(const JsonAt& at) {
    tiny::Ids result;
    for (size_t i = 0; i < at.array().size(); i++) result.push_back(static_cast<int32_t>(at[i].integer(0, 511)));
    return result;
  }
};

Json job(const std::string& groups, const char* objective) {
  return Json::Object{{"model_name_or_path", stories + "/hf"}, {"train_file", groups}, {"objective", objective}, {"finetuning_type", "full"}};
}

void check_norms(Pass& pass, const JsonAt& golden) {
  CHECK_EQ(golden.object().size(), pass.model.layout.specs.size());
  for (const WeightSpec& spec : pass.model.layout.specs) {
    const double norm = global_norm(pass.cpu, pass.model.weight_grads.data() + spec.offset, spec.elements);
    const double want = golden[spec.name].number(0, 1e6);
    if (!(std::abs(norm - want) <= 1e-3 * want)) {
      throw std::runtime_error(spec.name + ": its gradient's norm is " + std::to_string(norm) + ", expected " + std::to_string(want));
    }
  }
}

}  // namespace

TEST("SFT: loss, and the gradient of every weight") {
  const Golden golden;
  Pass pass(job(tiny::GroupsFile().add({}, {Golden::ids(golden["sft"]["input_ids"])}).write(golden.dir), "sft"));
  const double loss = golden["sft"]["mean_nll"].number(0, 100), norm = golden["sft"]["grad_norm_total"].number(0, 100);
  CHECK_NEAR(pass.stats.loss, loss, 1e-4 * loss);
  CHECK_NEAR(pass.grad_norm(), norm, 1e-3 * norm);
  check_norms(pass, golden["sft"]["grad_norms"]);
}

TEST("DPO at the reference: log 2, and the gradient of every weight") {
  const Golden golden;
  Pass pass(job(golden.write_pair(0), "dpo"));
  CHECK_NEAR(pass.stats.loss, std::log(2.0), 1e-6);
  check_norms(pass, golden["dpo_gradient_at_reference"]["grad_norms"]);
}

TEST("DPO away from the reference: every v_proj times 1.02") {
  const Golden golden;
  for (size_t p = 0; p < golden["dpo"].array().size(); p++) {
    const JsonAt pair = golden["dpo"][p];
    Json members = job(golden.write_pair(p), "dpo");
    members.set("beta", pair["beta"].number(0, 1));
    Pass pass(members);
    for (const WeightSpec& spec : pass.model.layout.specs) {
      if (!spec.name.ends_with("v_proj.weight")) continue;
      for (int64_t i = 0; i < spec.elements; i++) pass.model.weights[spec.offset + i] *= 1.02f;
    }
    const StepStats stats = pass.run(false);
    const double loss = pair["dpo_sigmoid_loss"].number(0, 100);
    CHECK_NEAR(stats.loss, loss, 1e-4 * loss);
    CHECK_NEAR(stats.rewards_chosen - stats.rewards_rejected, pair["margin"].number(-100, 100), 1e-4);
    CHECK_NEAR(stats.logps_rejected, pair["policy_rejected_logp"].number(-1e4, 0), 1e-2);
  }
}
