#include "api/generation.h"

#include <charconv>
#include <limits>

#include "text/utf8.h"

namespace weir::api {
namespace {

constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();

using text::Json;

// {"50256": -100}: token ids as keys.
Result<std::vector<std::pair<int32_t, double>>> parse_logit_bias(const Json& v,
                                                                 const std::string& path) {
  std::vector<std::pair<int32_t, double>> out;
  if (!v.is_object()) return wrong_type(path, "an object from token ids to numbers", v);
  for (const Json::Member& m : v.members()) {
    int32_t id = 0;
    const auto [end, ec] = std::from_chars(m.first.data(), m.first.data() + m.first.size(), id);
    if (ec != std::errc() || end != m.first.data() + m.first.size() || id < 0) {
      return param_error(ErrorCode::kInvalidValue, path, "{}: the key {} is not a token id", path,
                         text::json_quote(text::cut_utf8(m.first, 40)));
    }
    if (!m.second.is_number()) return wrong_type(join_path(path, m.first), "a number", m.second);
    const double bias = m.second.as_double();
    if (!(bias >= -100 && bias <= 100)) {
      return param_error(ErrorCode::kInvalidValue, join_path(path, m.first),
                         "{} is {}; it must be between -100 and 100", join_path(path, m.first),
                         bias);
    }
    out.emplace_back(id, bias);
  }
  return out;
}

template <typename T, typename U>
void assign(T& to, const std::optional<U>& from) {
  if (from.has_value()) to = static_cast<T>(*from);
}

Status parse_sampling(Fields& f, GenerationParams& p) {
  WEIR_ASSIGN(const auto temperature, f.number("temperature", 0, 2));
  assign(p.temperature, temperature);
  WEIR_ASSIGN(const auto top_p, f.number("top_p", 0, 1));
  assign(p.top_p, top_p);
  if (p.top_p <= 0) {
    return param_error(ErrorCode::kInvalidValue, f.path("top_p"),
                       "top_p is 0; it must be above 0 and at most 1");
  }
  WEIR_ASSIGN(const auto top_k, f.integer("top_k", -1, kMaxTokens));  // -1: vLLM's "off"
  assign(p.top_k, top_k);
  if (p.top_k < 0) p.top_k = 0;
  WEIR_ASSIGN(const auto min_p, f.number("min_p", 0, 1));
  assign(p.min_p, min_p);
  WEIR_ASSIGN(const auto repetition, f.number("repetition_penalty", 0.01, 100));
  assign(p.repetition_penalty, repetition);
  WEIR_ASSIGN(const auto presence, f.number("presence_penalty", -2, 2));
  assign(p.presence_penalty, presence);
  WEIR_ASSIGN(const auto frequency, f.number("frequency_penalty", -2, 2));
  assign(p.frequency_penalty, frequency);
  WEIR_ASSIGN(const auto seed, f.integer("seed", std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int64_t>::max()));
  if (seed.has_value()) p.seed = static_cast<uint64_t>(*seed);
  if (const Json* bias = f.find("logit_bias"); bias != nullptr) {
    WEIR_ASSIGN(p.logit_bias, parse_logit_bias(*bias, f.path("logit_bias")));
  }
  return {};
}

Status parse_lengths(Fields& f, const Limits& limits, int32_t least_tokens, GenerationParams& p) {
  WEIR_ASSIGN(const auto max_tokens, f.integer("max_tokens", least_tokens, kMaxTokens));
  WEIR_ASSIGN(const auto max_completion_tokens,
              f.integer("max_completion_tokens", least_tokens, kMaxTokens));
  const auto& chosen = max_completion_tokens.has_value() ? max_completion_tokens : max_tokens;
  if (chosen.has_value()) p.max_tokens = static_cast<int32_t>(*chosen);
  WEIR_ASSIGN(const auto min_tokens, f.integer("min_tokens", 0, kMaxTokens));
  assign(p.min_tokens, min_tokens);
  if (p.max_tokens.has_value() && p.min_tokens > *p.max_tokens) {
    return param_error(ErrorCode::kInvalidValue, f.path("min_tokens"),
                       "min_tokens is {}; it must not be above max_tokens, {}", p.min_tokens,
                       *p.max_tokens);
  }
  WEIR_ASSIGN(const auto n, f.integer("n", 1, limits.max_choices));
  assign(p.n, n);
  WEIR_ASSIGN(const auto best_of, f.integer("best_of", 1, limits.max_choices));
  if (best_of.has_value() && *best_of != p.n) {
    return param_error(ErrorCode::kInvalidValue, f.path("best_of"),
                       "best_of is {}; this server takes only the value of n, {}", *best_of, p.n);
  }
  WEIR_ASSIGN(p.stop, f.strings("stop", static_cast<size_t>(limits.max_stops)));
  WEIR_ASSIGN(p.stop_token_ids, f.token_ids("stop_token_ids", 64));
  WEIR_ASSIGN(const auto ignore_eos, f.boolean("ignore_eos"));
  assign(p.ignore_eos, ignore_eos);
  return {};
}

Status parse_stream(Fields& f, bool strict, GenerationParams& p) {
  WEIR_ASSIGN(const auto stream, f.boolean("stream"));
  assign(p.stream, stream);
  const Json* options = f.find("stream_options");
  if (options == nullptr) return {};
  if (!p.stream) {
    return param_error(ErrorCode::kInvalidValue, f.path("stream_options"),
                       "stream_options needs stream to be true");
  }
  WEIR_ASSIGN(Fields o, Fields::of(*options, f.path("stream_options")));
  WEIR_ASSIGN(const auto include_usage, o.boolean("include_usage"));
  assign(p.include_usage, include_usage);
  o.find("include_obfuscation");  // accepted, nothing is obfuscated
  o.find("continuous_usage_stats");
  return o.finish(strict);
}

// {"type": "content", "content": "text" or [{"type": "text", "text": …}, …]}
Result<std::string> parse_prediction(const Json& v, const std::string& path, bool strict) {
  WEIR_ASSIGN(Fields f, Fields::of(v, path));
  WEIR_ASSIGN(const auto type, f.string("type"));
  if (type.value_or("content") != "content") {
    return param_error(ErrorCode::kInvalidValue, f.path("type"), "{} must be \"content\"",
                       f.path("type"));
  }
  std::string text;
  const Json* content = f.find("content");
  if (content == nullptr || !(content->is_string() || content->is_array()))
    return wrong_type(f.path("content"), "a string or a list of text parts",
                      content == nullptr ? Json() : *content);
  if (content->is_string()) text = content->as_string();
  for (size_t i = 0; content->is_array() && i < content->items().size(); ++i) {
    WEIR_ASSIGN(Fields part, Fields::of(content->items()[i], index_path(f.path("content"), i)));
    part.find("type");
    WEIR_ASSIGN(const auto piece, part.string("text"));
    text += piece.value_or("");
    WEIR_TRY(part.finish(strict));
  }
  WEIR_TRY(f.finish(strict));
  return text;
}

// What says how the request is to be treated beside others.
Status parse_treatment(Fields& f, bool strict, GenerationParams& p) {
  WEIR_ASSIGN(const auto priority, f.integer("priority", -1'000'000, 1'000'000));
  assign(p.priority, priority);
  WEIR_ASSIGN(const auto salt, f.string("cache_salt"));
  p.cache_salt = salt.value_or("");
  WEIR_ASSIGN(const auto tier, f.string("service_tier"));
  p.batch = tier == "flex" || tier == "batch";
  if (const Json* prediction = f.find("prediction"); prediction != nullptr) {
    WEIR_ASSIGN(p.prediction, parse_prediction(*prediction, f.path("prediction"), strict));
  }
  return {};
}

}  // namespace

Result<GenerationParams> parse_generation(Fields& f, const Limits& limits, int32_t least_tokens) {
  GenerationParams p;
  WEIR_ASSIGN(const auto model, f.string("model"));
  p.model = model.value_or("");
  WEIR_TRY(parse_sampling(f, p));
  WEIR_TRY(parse_lengths(f, limits, least_tokens, p));
  WEIR_TRY(parse_stream(f, limits.strict, p));
  WEIR_ASSIGN(const auto ids, f.boolean("return_token_ids"));
  assign(p.return_token_ids, ids);
  WEIR_TRY(parse_treatment(f, limits.strict, p));
  if (f.find("prompt_logprobs") != nullptr) {
    return param_error(ErrorCode::kInvalidValue, f.path("prompt_logprobs"),
                       "prompt_logprobs is not supported; POST /v1/completions with echo: true and "
                       "logprobs: N gives the log probabilities of a prompt");
  }
  // Accepted without effect here.
  for (const char* name : {"user", "metadata", "store", "prompt_cache_key", "safety_identifier"})
    f.find(name);
  return p;
}

}  // namespace weir::api
