#include "ops/quantize/mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "config/key.h"
#include "quant/quantize.h"
#include "text/pattern.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using enum gguf::TensorType;

constexpr std::array<Mix, 36> make_mixes() {
  std::array<Mix, 36> all{{{"F32", kF32, 0},
                           {"F16", kF16, 1},
                           {"BF16", kBF16, 32},
                           {"Q8_0", kQ8_0, 7},
                           {"Q4_0", kQ4_0, 2},
                           {"Q4_1", kQ4_1, 3},
                           {"Q5_0", kQ5_0, 8},
                           {"Q5_1", kQ5_1, 9},
                           {"Q2_K", kQ2_K, 10},
                           {"Q2_K_S", kQ2_K, 21},
                           {"Q3_K_S", kQ3_K, 11},
                           {"Q3_K_M", kQ3_K, 12},
                           {"Q3_K_L", kQ3_K, 13},
                           {"Q4_K_S", kQ4_K, 14},
                           {"Q4_K_M", kQ4_K, 15},
                           {"Q5_K_S", kQ5_K, 16},
                           {"Q5_K_M", kQ5_K, 17},
                           {"Q6_K", kQ6_K, 18},
                           {"IQ1_S", kIQ1_S, 24},
                           {"IQ1_M", kIQ1_M, 31},
                           {"IQ2_XXS", kIQ2_XXS, 19},
                           {"IQ2_XS", kIQ2_XS, 20},
                           {"IQ2_S", kIQ2_XS, 28},
                           {"IQ2_M", kIQ2_S, 29},
                           {"IQ3_XXS", kIQ3_XXS, 23},
                           {"IQ3_XS", kIQ3_S, 22},
                           {"IQ3_S", kIQ3_S, 26},
                           {"IQ3_M", kIQ3_S, 27},
                           {"IQ4_NL", kIQ4_NL, 25},
                           {"IQ4_XS", kIQ4_XS, 30},
                           {"TQ1_0", kTQ1_0, 36},
                           {"TQ2_0", kTQ2_0, 37},
                           {"MXFP4_MOE", kMXFP4, 38},
                           {"NVFP4", kNVFP4, 39},
                           // The common short names.
                           {"Q3_K", kQ3_K, 12},
                           {"Q4_K", kQ4_K, 15}}};
  for (uint32_t i = 0; i < all.size(); ++i) all[i].index = i;
  return all;
}
constexpr std::array<Mix, 36> kMixes = make_mixes();

// A set of mixes as bits, by file type: short names are the mix they stand for.
using MixSet = uint64_t;
consteval MixSet mix(std::string_view name) {
  for (const Mix& m : kMixes) {
    if (m.name == name) return MixSet{1} << m.file_type;
  }
  throw "no mix of that name";  // at compile time
}
constexpr MixSet kIq12 =
    mix("IQ1_S") | mix("IQ1_M") | mix("IQ2_XXS") | mix("IQ2_XS") | mix("IQ2_S") | mix("IQ2_M");
constexpr MixSet kIq2SM = mix("IQ2_S") | mix("IQ2_M");
constexpr MixSet kIq1 = mix("IQ1_S") | mix("IQ1_M");
constexpr MixSet kIq4 = mix("IQ4_NL") | mix("IQ4_XS");
constexpr MixSet kAll = ~MixSet{0};

enum class Kind : uint8_t {
  kEmbedding,  // with an output matrix of its own
  kOutput,     // or the embedding that serves as one
  kQ,
  kK,
  kV,  // also Q, K and V in one, and kv_b of latent attention
  kAttnOutput,
  kUp,
  kGate,
  kDown,
  kOther,
};

// What must hold for a rule, all of it.
enum Condition : uint32_t {
  kGqa4 = 1 << 0,    // 4 query heads or more for each key head
  kEighth = 1 << 1,  // among the first eighth of the layers
  kSixteenth = 1 << 2,
  kMiddle = 1 << 3,    // not in the first or last eighth
  kMoreBits = 1 << 4,  // the first and last eighth, and every third between
  kFirst2 = 1 << 5,    // of its kind
  kFirst4 = 1 << 6,
  kExperts8 = 1 << 7,  // exactly 8
  kExperts4 = 1 << 8,  // 4 or more
  kImportance = 1 << 9,
  kNoImportance = 1 << 10,
  kFalcon = 1 << 11,
  kNotFalcon = 1 << 12,
  kNotExperts8 = 1 << 13,
};

struct Rule {
  MixSet mixes;
  Kind kind;
  uint32_t conditions;
  TensorType type;
};

// The first that matches decides; without one the tensor gets the mix's type.
constexpr Rule kRules[] = {
    {kIq12, Kind::kEmbedding, 0, kQ2_K},  // of IQ2_S and IQ2_M see the next
    {mix("IQ3_XXS"), Kind::kEmbedding, 0, kIQ3_S},
    {mix("TQ1_0") | mix("TQ2_0"), Kind::kEmbedding, 0, kQ4_K},

    {kIq12 | mix("IQ3_XXS"), Kind::kOutput, 0, kQ5_K},
    {kAll & ~mix("Q8_0"), Kind::kOutput, 0, kQ6_K},

    {kIq12, Kind::kV, kGqa4, kQ4_K},
    {kIq12, Kind::kV, kExperts4, kQ4_K},
    {kIq2SM, Kind::kV, 0, kIQ3_S},
    {kIq12, Kind::kV, 0, kQ2_K},
    {kAll, Kind::kV, kExperts8, kQ8_0},
    {mix("Q2_K"), Kind::kV, kGqa4, kQ4_K},
    {mix("Q2_K"), Kind::kV, 0, kQ3_K},
    {mix("Q2_K_S"), Kind::kV, kGqa4, kQ4_K},
    {mix("IQ3_XXS"), Kind::kV, kGqa4, kQ4_K},
    {mix("IQ3_XXS"), Kind::kV, kNoImportance, kIQ3_S},
    {mix("IQ3_XS") | mix("IQ3_S"), Kind::kV, kGqa4, kQ4_K},
    {mix("IQ3_M"), Kind::kV, 0, kQ4_K},
    {mix("Q3_K_M"), Kind::kV, kFirst2, kQ5_K},
    {mix("Q3_K_M"), Kind::kV, 0, kQ4_K},
    {mix("Q3_K_L"), Kind::kV, 0, kQ5_K},
    {kIq4, Kind::kV, kGqa4, kQ5_K},
    {mix("Q4_K_M") | mix("Q5_K_M"), Kind::kV, kMoreBits, kQ6_K},
    {mix("Q4_K_S"), Kind::kV, kFirst4, kQ5_K},

    {kIq12, Kind::kK, kExperts8, kQ4_K},
    {kAll, Kind::kK, kExperts8, kQ8_0},
    {mix("IQ3_XS"), Kind::kK, 0, kIQ3_XXS},
    {mix("IQ3_XXS"), Kind::kK, 0, kIQ2_S},
    {mix("IQ3_XS"), Kind::kQ, 0, kIQ3_XXS},
    {mix("IQ3_XXS"), Kind::kQ, 0, kIQ2_S},

    {kIq2SM, Kind::kDown, kEighth, kIQ3_S},
    {kIq12, Kind::kDown, kEighth, kQ2_K},
    {mix("Q2_K"), Kind::kDown, 0, kQ3_K},
    {mix("Q2_K_S"), Kind::kDown, kEighth, kQ4_K},
    {mix("IQ3_XXS"), Kind::kDown, kNoImportance | kEighth, kQ4_K},
    {mix("IQ3_XXS"), Kind::kDown, kNoImportance, kQ3_K},
    {mix("Q3_K_M"), Kind::kDown, kSixteenth, kQ5_K},
    {mix("Q3_K_M"), Kind::kDown, kNotFalcon, kQ4_K},
    {mix("Q3_K_M"), Kind::kDown, kMoreBits, kQ4_K},
    {mix("IQ3_M"), Kind::kDown, kEighth, kQ4_K},
    {mix("IQ3_M"), Kind::kDown, kExperts8 | kMoreBits, kQ4_K},
    {mix("Q3_K_L"), Kind::kDown, kFalcon, kQ4_K},
    {mix("Q3_K_L"), Kind::kDown, 0, kQ5_K},
    {mix("Q4_K_M"), Kind::kDown, kFalcon | kSixteenth, kQ6_K},
    {mix("Q4_K_M"), Kind::kDown, kFalcon | kMoreBits, kQ5_K},
    {mix("Q4_K_M"), Kind::kDown, kNotFalcon | kMoreBits, kQ6_K},
    {kIq4, Kind::kDown, kEighth | kNoImportance, kQ5_K},
    {mix("Q5_K_M"), Kind::kDown, kMoreBits, kQ6_K},
    {mix("Q4_K_S"), Kind::kDown, kNotFalcon | kEighth, kQ5_K},
    {mix("Q4_0"), Kind::kDown, kImportance | kEighth, kQ4_1},
    {mix("Q5_0"), Kind::kDown, kImportance | kEighth, kQ5_1},

    {kIq12, Kind::kAttnOutput, kExperts8, kQ5_K},
    {kIq1, Kind::kAttnOutput, 0, kIQ2_XXS},
    {kIq2SM, Kind::kAttnOutput, 0, kIQ3_S},
    {mix("Q2_K") | mix("IQ3_XS") | mix("IQ3_XXS") | mix("Q3_K_S") | mix("Q3_K_M") | kIq4 |
         mix("Q4_K_S") | mix("Q4_K_M") | mix("IQ3_S") | mix("IQ3_M"),
     Kind::kAttnOutput, kNotFalcon | kExperts8, kQ5_K},
    {mix("Q2_K"), Kind::kAttnOutput, kNotFalcon | kNotExperts8, kQ3_K},
    {mix("IQ3_XXS"), Kind::kAttnOutput, kNotFalcon | kNotExperts8, kIQ3_S},
    {mix("Q3_K_M") | mix("IQ3_M"), Kind::kAttnOutput, kNotFalcon | kNotExperts8, kQ4_K},
    {mix("Q3_K_L"), Kind::kAttnOutput, kNotFalcon | kNotExperts8, kQ5_K},
    {mix("Q3_K_L"), Kind::kAttnOutput, kFalcon, kQ4_K},

    {mix("IQ3_XS"), Kind::kGate, kMiddle, kIQ3_XXS},
    {mix("IQ3_XS"), Kind::kUp, kMiddle, kIQ3_XXS},
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_embedding(std::string_view name) {
  return name == "token_embd.weight" || name == "per_layer_token_embd.weight";
}

Kind kind_of(std::string_view name, bool tied) {
  if (name == "output.weight") return Kind::kOutput;
  if (is_embedding(name)) return tied ? Kind::kOutput : Kind::kEmbedding;
  if (contains(name, "attn_qkv.weight") || contains(name, "attn_kv_b.weight") ||
      contains(name, "attn_v.weight"))
    return Kind::kV;
  if (contains(name, "attn_k.weight")) return Kind::kK;
  if (contains(name, "attn_q.weight")) return Kind::kQ;
  if (contains(name, "attn_output.weight")) return Kind::kAttnOutput;
  if (contains(name, "ffn_up")) return Kind::kUp;
  if (contains(name, "ffn_gate")) return Kind::kGate;
  if (contains(name, "ffn_down")) return Kind::kDown;
  return Kind::kOther;
}

// Parts of names of matrices that are too small, or too sensitive, to be quantized.
constexpr std::string_view kKeptParts[] = {"_norm.weight",
                                           "ffn_gate_inp.weight",
                                           "ffn_gate_tid2eid.weight",
                                           "altup",
                                           "laurel",
                                           "per_layer_model_proj",
                                           "ssm_conv1d",
                                           "shortconv.conv.weight",
                                           "indexer.k_proj.weight",
                                           "indexer.q_proj.weight",
                                           "time_mix_first.weight",
                                           "time_mix_w0.weight",
                                           "time_mix_w1.weight",
                                           "time_mix_w2.weight",
                                           "time_mix_v0.weight",
                                           "time_mix_v1.weight",
                                           "time_mix_v2.weight",
                                           "time_mix_a0.weight",
                                           "time_mix_a1.weight",
                                           "time_mix_a2.weight",
                                           "time_mix_g1.weight",
                                           "time_mix_g2.weight",
                                           "time_mix_decay_w1.weight",
                                           "time_mix_decay_w2.weight",
                                           "time_mix_lerp_fused.weight",
                                           "attn_rel_b.weight",
                                           ".position_embd",
                                           "sam.pos_embd",
                                           "sam.neck.",
                                           "sam.net_",
                                           ".rel_pos",
                                           ".patch_embd",
                                           ".patch_merger",
                                           "a.rvq.codebook",
                                           "mm.a.code_embd"};

bool may_quantize(const gguf::Tensor& t, bool tied, bool keep_output) {
  const bool matrix =
      std::any_of(t.shape.begin() + 1, t.shape.end(), [](uint64_t d) { return d > 1; });
  if (!matrix || !t.name.ends_with("weight")) return false;
  if (t.name == "position_embd.weight" || t.name == "token_types.weight") return false;
  if (keep_output && kind_of(t.name, tied) == Kind::kOutput) return false;
  return std::none_of(std::begin(kKeptParts), std::end(kKeptParts),
                      [&](std::string_view part) { return contains(t.name, part); });
}

// The layer in "blk.N.", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t layer = -1;
  const char* first = name.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(first, name.data() + name.size(), layer);
  return error == std::errc() && end < name.data() + name.size() && *end == '.' ? layer : -1;
}

// A type with smaller blocks of about as many bits, for rows that its blocks do not divide.
TensorType fallback(TensorType type) {
  switch (type) {
    case kIQ1_S:
    case kIQ1_M:
    case kIQ2_XXS:
    case kIQ2_XS:
    case kIQ2_S:
    case kIQ3_XXS:
    case kIQ3_S:
    case kIQ4_XS:
      return kIQ4_NL;
    case kQ2_K:
    case kQ3_K:
    case kTQ1_0:
    case kTQ2_0:
      return kQ4_0;
    case kQ4_K:
      return kQ5_0;
    case kQ5_K:
      return kQ5_1;
    case kQ6_K:
      return kQ8_0;
    default:
      return kF16;
  }
}

bool fits(TensorType type, uint64_t cols) {
  return cols % gguf::type_info(type)->block_elements == 0;
}

class Chooser {
 public:
  Chooser(const ModelFacts& facts, const Mix& mix, const MixOptions& options)
      : facts_(facts), mix_(mix), options_(options) {}

  // --output-type or --embedding-type, where it is about this tensor.
  std::optional<TensorType> named_type(const gguf::Tensor& t) const {
    const bool output = kind_of(t.name, facts_.tied) == Kind::kOutput;
    if (output && options_.output_type) return options_.output_type;
    return is_embedding(t.name) ? options_.embedding_type : std::nullopt;
  }

  TensorType choose(const gguf::Tensor& t) {
    const Kind kind = kind_of(t.name, facts_.tied);
    if (const auto type = named_type(t)) return *type;
    if (options_.pure) return mix_.type;
    if (mix_.type == kMXFP4)
      return t.shape.size() > 2 && t.shape[2] > 1 && kind != Kind::kOutput ? kMXFP4 : kQ8_0;
    if (kind == Kind::kOutput && (facts_.architecture == "falcon" || !fits(mix_.type, t.shape[0])))
      return kQ8_0;
    if (kind == Kind::kEmbedding && (kIq2SM & set()) != 0) return kIQ3_S;
    const uint32_t holds = conditions(t.name, kind);
    TensorType type = mix_.type;
    for (const Rule& rule : kRules) {
      if (rule.kind != kind || (rule.mixes & set()) == 0 || (rule.conditions & ~holds) != 0)
        continue;
      type = rule.type;
      break;
    }
    // 8 query heads share a key head: attn_v is small, and its errors count eight times.
    const bool small_v = kind == Kind::kV && facts_.seventy_b && (kIq12 & set()) == 0;
    return small_v && (type == kQ3_K || type == kQ4_K) ? kQ5_K : type;
  }

 private:
  MixSet set() const { return MixSet{1} << mix_.file_type; }

  // Counts the tensors of each kind, which stands for the layer where there are no experts.
  uint32_t conditions(std::string_view name, Kind kind) {
    const auto layers = static_cast<int64_t>(facts_.layers);
    int64_t& seen = seen_[static_cast<size_t>(kind)];
    const int64_t count = seen++;
    const int64_t of_kind = kind == Kind::kV ? v_count_ : layers;
    const bool by_name = facts_.experts > 1 && kind != Kind::kV && (kIq12 & set()) == 0;
    const int64_t layer = by_name ? layer_of(name) : count;
    uint32_t holds = 0;
    const auto when = [&](bool true_here, Condition c) { holds |= true_here ? c : 0U; };
    when(facts_.gqa >= 4, kGqa4);
    when(layer < of_kind / 8, kEighth);
    when(layer < of_kind / 16, kSixteenth);
    when(layer >= of_kind / 8 && layer < 7 * of_kind / 8, kMiddle);
    when(layer < of_kind / 8 || layer >= 7 * of_kind / 8 || (layer - of_kind / 8) % 3 == 2,
         kMoreBits);
    when(count < 2, kFirst2);
    when(count < 4, kFirst4);
    when(facts_.experts == 8, kExperts8);
    when(facts_.experts != 8, kNotExperts8);
    when(facts_.experts >= 4, kExperts4);
    when(options_.importance, kImportance);
    when(!options_.importance, kNoImportance);
    when(facts_.architecture == "falcon", kFalcon);
    when(facts_.architecture != "falcon", kNotFalcon);
    return holds;
  }

 public:
  void count_v(int64_t count) { v_count_ = count; }

 private:
  const ModelFacts& facts_;
  const Mix& mix_;
  const MixOptions& options_;
  std::array<int64_t, 10> seen_{};
  int64_t v_count_ = 0;
};

struct Override {
  text::Pattern pattern;
  const std::string* text;
  TensorType type;
  bool used = false;
};

// The first whose pattern the name has, or nullptr.
Result<Override*> find(std::vector<Override>& overrides, const std::string& name) {
  for (Override& o : overrides) {
    const text::Pattern::Found found = o.pattern.first_in(name);
    if (found.gave_up) {
      return make_error(ErrorCode::kUsage,
                        "--tensor '{}' takes too many steps on the name of a tensor: write an "
                        "expression with fewer ways to match",
                        *o.text);
    }
    if (found.matches) return &o;
  }
  return nullptr;
}

Result<std::vector<Override>> compile(const MixOptions& options) {
  std::vector<Override> out;
  for (const auto& [text, type] : options.overrides) {
    auto pattern = text::Pattern::make(text, false);
    if (!pattern.ok()) {
      return make_error(ErrorCode::kUsage, "--tensor '{}' is no regular expression: {}", text,
                        pattern.error().message);
    }
    out.push_back({std::move(*pattern), &text, type});
  }
  return out;
}

}  // namespace

std::span<const Mix> mixes() { return kMixes; }

std::string mix_names() {
  std::string names;
  for (const Mix& m : kMixes) {
    if (!names.empty()) names += ", ";
    names += m.name;
  }
  return names;
}

Result<Mix> find_mix(std::string_view name) {
  for (const Mix& m : kMixes) {
    if (std::equal(m.name.begin(), m.name.end(), name.begin(), name.end(),
                   [](char a, char b) { return a == std::toupper(static_cast<unsigned char>(b)); }))
      return m;
  }
  // What is likely left out is an underscore: they do not count.
  std::vector<std::string> plain;
  for (const Mix& m : kMixes) std::erase(plain.emplace_back(m.name), '_');
  std::string given(name.substr(0, 40));
  std::erase(given, '_');
  for (char& c : given) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string_view nearest = config::nearest(given, plain);
  const auto at = std::find(plain.begin(), plain.end(), nearest) - plain.begin();
  return make_error(ErrorCode::kUsage,
                    "there is no quantization '{}'; the nearest is {}; there are {}",
                    name.substr(0, 40), kMixes[static_cast<size_t>(at)].name, mix_names());
}

Result<std::vector<TensorChoice>> choose_types(const gguf::File& file, const ModelFacts& facts,
                                               const Mix& mix, const MixOptions& options) {
  WEIR_ASSIGN(std::vector<Override> overrides, compile(options));
  const std::vector<gguf::Tensor>& tensors = file.tensors();
  // Counters run over tensors by layer, then by name.
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int64_t la = layer_of(tensors[a].name), lb = layer_of(tensors[b].name);
    return la != lb ? la < lb : tensors[a].name < tensors[b].name;
  });
  Chooser chooser(facts, mix, options);
  chooser.count_v(std::count_if(tensors.begin(), tensors.end(), [&](const gguf::Tensor& t) {
    return kind_of(t.name, facts.tied) == Kind::kV;
  }));
  const bool floats = mix.type == kF32 || mix.type == kF16 || mix.type == kBF16;
  std::vector<TensorChoice> choices(tensors.size());
  for (const size_t i : order) {
    const gguf::Tensor& t = tensors[i];
    TensorChoice& choice = choices[i];
    choice.type = t.type;
    choice.quantizable = may_quantize(t, facts.tied, options.keep_output);
    if (!choice.quantizable) continue;
    WEIR_ASSIGN(Override * found, find(overrides, t.name));
    if (found != nullptr) {
      found->used = true;
      choice.type = found->type;
      choice.by_hand = true;
    } else {
      choice.type = floats ? mix.type : chooser.choose(t);
    }
    const auto exact = options.exact.find(t.name);
    if (!choice.by_hand && exact != options.exact.end()) choice.type = exact->second;
    // A type that somebody names and that cannot be written is the caller's error; nothing stands
    // in.
    const bool named = choice.by_hand || (!floats && chooser.named_type(t));
    if (fits(choice.type, t.shape[0]) || (named && !quant::can_quantize(choice.type))) continue;
    choice.wanted = choice.type;
    choice.type = fallback(choice.type);
    if (!fits(choice.type, t.shape[0])) choice.type = kF16;
  }
  for (const Override& o : overrides) {
    if (o.used) continue;
    return make_error(ErrorCode::kUsage,
                      "no tensor that is quantized has a name that '{}' matches (or an earlier "
                      "expression takes it); weir inspect --tensors lists them",
                      *o.text);
  }
  return choices;
}

bool requires_importance(std::string_view tensor, TensorType type, const Mix& mix) {
  if (is_embedding(tensor) || tensor == "output.weight") return false;
  switch (type) {
    case kIQ3_XXS:
    case kIQ2_XXS:
    case kIQ2_XS:
    case kIQ2_S:
    case kIQ1_M:
    case kIQ1_S:
      return true;
    default:
      return type == kQ2_K && mix.name == "Q2_K_S";
  }
}

}  // namespace weir::ops
