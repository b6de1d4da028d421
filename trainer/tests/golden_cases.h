// Golden cases: a checkpoint, an adapter, groups, and what another implementation computes of them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "io/checkpoint_dir.h"
#include "io/files.h"

namespace golden {

using namespace concord;

struct Case {
  std::string dir, model, adapter, groups;
  SafetensorsFile expected;

  Case(const std::string& folder, const std::string& groups_file)
      : dir(folder), model(folder + "/model"), adapter(folder + "/adapter"), groups(groups_file), expected(read_safetensors(folder + "/expected.safetensors")) {}

  std::vector<float> tensor(const std::string& name) const {
    const TensorView* view = expected.find(name);
    if (!view) throw std::runtime_error("expected.safetensors has no " + name);
    return to_f32(*view);
  }
  // expected.json, which the shared cases have.
  Json values() const { return parse_json(read_file(dir + "/expected.json").text(), dir + "/expected.json"); }
  double value(const std::string& key) const {
    const Json all = values();
    return JsonAt{&all, dir, ""}[key].number(-1e9, 1e9);
  }
};

// f(case of a folder) for each of them that has one; a failure names it. Returns how many.
template <class F>
size_t for_each_in(const std::string& folder, F&& f) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (path_exists(entry.path() / "expected.safetensors")) names.insert(entry.path().filename().string());
  for (const std::string& name : names) {
    try {
      f(folder + "/" + name);
    } catch (const std::exception& e) {
      throw std::runtime_error(name + ": " + e.what());
    }
  }
  return names.size();
}

// Every model family against transformers and PEFT in float64, made by tests/golden/make.py.
template <class F>
void for_each_family(F&& f) {
  const std::string folder = CONCORD_GOLDEN_DIR;
  CHECK_EQ(for_each_in(folder, [&](const std::string& dir) { f(Case(dir, folder + "/groups.safetensors")); }), size_t{14});
}

// The cases beside the project, with losses and their gradients.
template <class F>
void for_each_shared(F&& f) {
  const std::string folder = std::string(CONCORD_SHARED_DIR) + "/golden";
  if (!path_exists(folder)) SKIP("needs " + folder);
  CHECK(for_each_in(folder, [&](const std::string& dir) { f(Case(dir, dir + "/groups.safetensors")); }) >= 3);
}

}  // namespace golden
