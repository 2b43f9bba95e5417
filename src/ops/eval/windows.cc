#include "ops/eval/windows.h"

#include <algorithm>

namespace weir::ops {
namespace {

using text::Json;

constexpr HashKey kKey{0x77656972, 0x77696e646f7773};  // any, and fixed: files keep what it made
constexpr std::string_view kHashes = "weir.calibration.windows";
constexpr std::string_view kThreshold = "weir.calibration.threshold";
constexpr std::string_view kWidth = "weir.calibration.window_tokens";
constexpr std::string_view kVocabulary = "weir.calibration.vocabulary";
constexpr size_t kHexDigits = 32;

// use(hash) of each window.
template <typename Use>
void for_each_window(std::span<const int32_t> tokens, const Use& use) {
  for (size_t i = 0; i + kWindowTokens <= tokens.size(); ++i)
    use(keyed_hash(kKey, std::as_bytes(tokens.subspan(i, kWindowTokens))).low >> 1);
}

// Keeps the smallest.
void bound(TextWindows& w) {
  std::sort(w.hashes.begin(), w.hashes.end());
  w.hashes.erase(std::unique(w.hashes.begin(), w.hashes.end()), w.hashes.end());
  if (w.hashes.size() <= kMaxHashes) return;
  w.threshold = w.hashes[kMaxHashes];
  w.hashes.resize(kMaxHashes);
}

// Checks what the two readers have in common; `at` names the file or the member's parent.
Status check(const TextWindows& w, std::string_view at, uint64_t width) {
  if (width != kWindowTokens) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: windows of calibration text have {} tokens; "
                      "this weir compares {}",
                      at, width, kWindowTokens);
  }
  const bool hex_digits = w.vocabulary.size() == kHexDigits &&
                          w.vocabulary.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex_digits) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the vocabulary of the calibration windows is not {} "
                      "hexadecimal digits; quantize or calibrate again",
                      at, kHexDigits);
  }
  if (w.threshold > TextWindows::kAll) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the threshold of the calibration windows is {}, the "
                      "most is {}",
                      at, w.threshold, TextWindows::kAll);
  }
  for (size_t i = 0; i < w.hashes.size(); ++i) {
    if (w.hashes[i] < w.threshold && (i == 0 || w.hashes[i - 1] < w.hashes[i])) continue;
    return make_error(ErrorCode::kCorrupt,
                      "{}: calibration window {} is {}: not above the one "
                      "before it, or not below the threshold {}; quantize or calibrate again",
                      at, i, w.hashes[i], w.threshold);
  }
  return {};
}

Error too_many(std::string_view at, uint64_t count) {
  return make_error(ErrorCode::kLimit, "{}: {} calibration windows, the most is {}", at, count,
                    kMaxHashes);
}

Error wrong(std::string_view member, std::string_view wanted) {
  return make_error(ErrorCode::kCorrupt, "'windows.{}' is not {}", member, wanted);
}

}  // namespace

TextWindows windows_of(std::span<const int32_t> tokens, std::string vocabulary) {
  // Twice the bound is kept between two cuts, so that a long text takes little memory.
  TextWindows w{std::move(vocabulary), TextWindows::kAll, {}};
  for_each_window(tokens, [&](uint64_t hash) {
    if (hash >= w.threshold) return;
    w.hashes.push_back(hash);
    if (w.hashes.size() >= 4 * kMaxHashes) bound(w);
  });
  bound(w);
  return w;
}

Result<TextWindows> merge(const TextWindows& a, const TextWindows& b) {
  if (a.vocabulary != b.vocabulary) {
    return make_error(ErrorCode::kInvalidValue,
                      "the calibration files are of two vocabularies ({} and {}): they are not of "
                      "one model",
                      a.vocabulary, b.vocabulary);
  }
  TextWindows w{a.vocabulary, std::min(a.threshold, b.threshold), {}};
  for (const TextWindows* side : {&a, &b}) {
    const auto end = std::lower_bound(side->hashes.begin(), side->hashes.end(), w.threshold);
    w.hashes.insert(w.hashes.end(), side->hashes.begin(), end);
  }
  bound(w);
  return w;
}

Overlap overlap_of(const TextWindows& calibration, std::span<const int32_t> tokens) {
  Overlap o;
  for_each_window(tokens, [&](uint64_t hash) {
    if (hash >= calibration.threshold) return;
    ++o.sampled;
    o.shared +=
        std::binary_search(calibration.hashes.begin(), calibration.hashes.end(), hash) ? 1 : 0;
  });
  return o;
}

Error overlap_error(std::string_view what, double share) {
  return make_error(ErrorCode::kInvalidValue,
                    "{} {:.1f} % of this text's windows of {} tokens, more than {:.0f} %: the "
                    "figures would flatter; measure on another text, or go on with --allow-overlap",
                    what, 100 * share, kWindowTokens, 100 * kMaxOverlap);
}

Result<std::optional<double>> check_overlap(const gguf::File& model, const std::string& vocabulary,
                                            std::span<const int32_t> tokens, bool allowed) {
  WEIR_ASSIGN(const std::optional<TextWindows> windows, read_windows(model));
  if (!windows || windows->vocabulary != vocabulary) return std::optional<double>();
  const double share = overlap_of(*windows, tokens).share();
  if (share > kMaxOverlap && !allowed)
    return overlap_error(fmt::format("{} was calibrated on", model.path()), share);
  return std::optional(share);
}

bool is_windows_key(std::string_view key) { return key.starts_with("weir.calibration."); }

Result<std::optional<TextWindows>> read_windows(const gguf::File& file) {
  const gguf::Value* hashes = file.find(kHashes);
  if (hashes == nullptr) return std::optional<TextWindows>();
  if (hashes->count > kMaxHashes) return too_many(file.path(), hashes->count);
  TextWindows w;
  WEIR_ASSIGN(const uint64_t width, file.get_uint(kWidth));
  WEIR_ASSIGN(w.threshold, file.get_uint(kThreshold));
  WEIR_ASSIGN(const std::string_view vocabulary, file.get_string(kVocabulary));
  w.vocabulary = vocabulary.substr(0, kHexDigits + 1);
  WEIR_ASSIGN(const std::vector<int64_t> values, file.get_ints(kHashes));
  for (const int64_t v : values) w.hashes.push_back(static_cast<uint64_t>(v));
  WEIR_TRY(check(w, file.path(), width));
  return std::optional(std::move(w));
}

void write_windows(const TextWindows& windows, gguf::Writer& writer) {
  const std::vector<int64_t> values(windows.hashes.begin(), windows.hashes.end());
  writer.set_int64s(kHashes, values);
  writer.set_uint64(kThreshold, windows.threshold);
  writer.set_uint(kWidth, kWindowTokens);
  writer.set_string(kVocabulary, windows.vocabulary);
}

Hash128 windows_hash(const TextWindows& windows) {
  return keyed_hash(kKey, std::as_bytes(std::span(windows.hashes)));
}

Json windows_json(const TextWindows& windows) {
  Json j = Json::object();
  j.set("window_tokens", static_cast<int64_t>(kWindowTokens));
  j.set("vocabulary", windows.vocabulary);
  // 2^63 is no int64: nothing stands for it.
  if (windows.threshold < TextWindows::kAll)
    j.set("threshold", static_cast<int64_t>(windows.threshold));
  Json hashes = Json::array();
  for (const uint64_t h : windows.hashes) hashes.push_back(static_cast<int64_t>(h));
  j.set("hashes", std::move(hashes));
  return j;
}

Result<TextWindows> parse_windows(const Json& json) {
  if (!json.is_object()) return make_error(ErrorCode::kCorrupt, "'windows' is not an object");
  const Json* width = json.find("window_tokens");
  const Json* vocabulary = json.find("vocabulary");
  const Json* threshold = json.find("threshold");
  const Json* hashes = json.find("hashes");
  if (width == nullptr || !width->is_int() || width->as_int() < 0)
    return wrong("window_tokens", "a count");
  if (vocabulary == nullptr || !vocabulary->is_string()) return wrong("vocabulary", "a string");
  if (threshold != nullptr && (!threshold->is_int() || threshold->as_int() < 0))
    return wrong("threshold", "a number below 2^63");
  if (hashes == nullptr || !hashes->is_array()) return wrong("hashes", "a list");
  if (hashes->size() > kMaxHashes) return too_many("'windows.hashes'", hashes->size());
  TextWindows w{std::string(vocabulary->as_string()), TextWindows::kAll, {}};
  if (threshold != nullptr) w.threshold = static_cast<uint64_t>(threshold->as_int());
  for (const Json& h : hashes->items()) {
    if (!h.is_int() || h.as_int() < 0) return wrong("hashes", "a list of numbers below 2^63");
    w.hashes.push_back(static_cast<uint64_t>(h.as_int()));
  }
  WEIR_TRY(check(w, "'windows'", static_cast<uint64_t>(width->as_int())));
  return w;
}

}  // namespace weir::ops
