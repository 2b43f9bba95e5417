#include "checkpoint/fold_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string_view>

namespace weir::checkpoint {
namespace {

// Tensors of a layer, less ".weight" or ".bias", whose part in the function is known here. What is
// not among them might read a norm, or stand between v and the output (BitNet has norms there).
constexpr std::string_view kKnownParts[] = {"attn_norm",
                                            "attn_q",
                                            "attn_k",
                                            "attn_v",
                                            "attn_qkv",
                                            "attn_output",
                                            "attn_q_norm",
                                            "attn_k_norm",
                                            "attn_sinks",
                                            "attn_output_norm",
                                            "attn_q_a",
                                            "attn_q_a_norm",
                                            "attn_q_b",
                                            "attn_kv_a_mqa",
                                            "attn_kv_a_norm",
                                            "attn_kv_b",
                                            "attn_k_b",
                                            "attn_v_b",
                                            "ffn_norm",
                                            "ffn_gate",
                                            "ffn_up",
                                            "ffn_down",
                                            "ffn_gate_inp",
                                            "ffn_gate_exps",
                                            "ffn_up_exps",
                                            "ffn_down_exps",
                                            "ffn_gate_shexp",
                                            "ffn_up_shexp",
                                            "ffn_down_shexp",
                                            "exp_probs_b",
                                            "post_ffw_norm",
                                            "ffn_gate_inp_shexp",
                                            "post_attention_norm",
                                            "layer_output_norm"};

bool known_part(std::string_view name) {
  name = name.substr(0, name.rfind('.'));
  return std::find(std::begin(kKnownParts), std::end(kKnownParts), name) != std::end(kKnownParts);
}

// The tensors of one layer.
class Layer {
 public:
  Layer(const FoldShapes& known, int number)
      : known_(known), prefix_(fmt::format("blk.{}.", number)) {}

  bool any(std::initializer_list<const char*> names) const {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return known_.contains(prefix_ + name); });
  }

  bool understood() const {
    for (auto at = known_.lower_bound(prefix_);
         at != known_.end() && at->first.starts_with(prefix_); ++at) {
      if (!known_part(std::string_view(at->first).substr(prefix_.size()))) return false;
    }
    return true;
  }

  // Adds the place where all of `names` that are there read what `maker` makes, if its shape fits
  // theirs.
  void add(const char* maker, bool norm, std::initializer_list<const char*> names,
           std::vector<FoldRule>& out) const {
    FoldRule rule{prefix_ + maker, norm, {}};
    const auto made = known_.find(rule.maker);
    if (made == known_.end() || made->second.size() != (norm ? 1U : 2U)) return;
    for (const char* name : names) {
      const auto reader = known_.find(prefix_ + name);
      if (reader == known_.end()) continue;
      if (reader->second.size() != 2 || reader->second[1] != made->second[0]) return;
      rule.readers.push_back(reader->first);
    }
    if (!rule.readers.empty()) out.push_back(std::move(rule));
  }

 private:
  const FoldShapes& known_;
  std::string prefix_;
};

void add_layer(const Layer& layer, std::vector<FoldRule>& out) {
  if (!layer.understood()) return;
  // With one norm for both halves of a layer, or latent attention, there are more readers.
  const bool usual = layer.any({"attn_norm.weight"}) && layer.any({"ffn_norm.weight"}) &&
                     !layer.any({"attn_q_a.weight", "attn_kv_a_mqa.weight"});
  if (usual && !layer.any({"attn_norm.bias"})) {
    layer.add("attn_norm.weight", true,
              {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight"}, out);
  }
  if (!layer.any({"attn_v.bias"})) layer.add("attn_v.weight", false, {"attn_output.weight"}, out);
  const bool routed = layer.any({"ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight"});
  if (usual && !routed && !layer.any({"ffn_norm.bias"}))
    layer.add("ffn_norm.weight", true, {"ffn_gate.weight", "ffn_up.weight"}, out);
  if (layer.any({"ffn_gate.weight"}) && !layer.any({"ffn_up.bias"}))
    layer.add("ffn_up.weight", false, {"ffn_down.weight"}, out);
}

}  // namespace

std::vector<FoldRule> fold_rules(const FoldShapes& known) {
  std::set<int> layers;
  for (const auto& [name, shape] : known) {
    int number = 0;
    if (!name.starts_with("blk.")) continue;
    std::from_chars(name.data() + 4, name.data() + name.size(), number);
    layers.insert(number);
  }
  std::vector<FoldRule> rules;
  for (const int number : layers) add_layer(Layer(known, number), rules);
  return rules;
}

float settled_factor(float old, float now) {
  const float factor = old / now;
  return std::isnormal(factor) && factor > 0 && std::isfinite(now) ? factor : 0;
}

}  // namespace weir::checkpoint
