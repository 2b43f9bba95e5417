#include "checkpoint/hf_pretokenizer.h"

#include <array>

namespace weir::checkpoint {
namespace {

using text::Json;

constexpr std::array<std::string_view, 3> kLists = {"pretokenizers", "decoders", "normalizers"};

std::string_view type_of(const Json& part) {
  const Json* type = part.find("type");
  return type != nullptr && type->is_string() ? std::string_view(type->as_string())
                                              : std::string_view();
}

const Json* list_of(const Json& sequence) {
  for (const std::string_view name : kLists) {
    const Json* list = sequence.find(name);
    if (list != nullptr && list->is_array()) return list;
  }
  return nullptr;
}

bool is_true(const Json& part, std::string_view key, bool fallback) {
  const Json* value = part.find(key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

// One line for what a pre-tokenizer does: its steps, in order, with what they depend on.
void describe(const Json& part, std::string& out) {
  const std::string_view type = type_of(part);
  if (type == "Sequence") {
    if (const Json* list = list_of(part)) {
      for (const Json& item : list->items()) {
        if (type_of(item) == "Sequence") {
          out += "nested ";  // nobody writes it; not followed, so that depth is bounded
        } else {
          describe(item, out);
        }
      }
    }
    return;
  }
  out += type;
  if (type == "Split") {
    const Json* pattern = part.find("pattern");
    const Json* text = pattern == nullptr ? nullptr : pattern->find("Regex");
    const Json* behavior = part.find("behavior");
    const bool isolated = behavior != nullptr && *behavior == Json("Isolated");
    // Removed + invert keeps the matches: the same pieces, as these expressions match everything.
    const bool inverted =
        behavior != nullptr && *behavior == Json("Removed") && is_true(part, "invert", false);
    out += isolated || inverted ? "(" : "(other ";
    out += text != nullptr && text->is_string() ? text->as_string() : "no regex";
    out += ")";
  } else if (type == "ByteLevel") {
    if (is_true(part, "use_regex", true)) out += "(regex)";
    if (is_true(part, "add_prefix_space", true)) out += "(space)";
  } else if (type == "Digits") {
    if (is_true(part, "individual_digits", false)) out += "(individual)";
  }
  out += " ";
}

struct Known {
  std::string_view description;
  std::string_view pre;
  std::string_view pre_ignoring_merges;  // of a model that takes whole words first
};

#define WEIR_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+) ByteLevel )"
#define WEIR_WORDS R"(Split((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
#define WEIR_UPPER R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define WEIR_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define WEIR_CASED_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+) ByteLevel )"
#define WEIR_SHORT R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"

constexpr std::array kKnown{
    Known{"ByteLevel(regex) ", "gpt-2", ""},
    Known{"Digits(individual) ByteLevel(regex) ", "smollm", ""},
    Known{WEIR_WORDS R"(\p{N}{1,3})" WEIR_TAIL, "smaug-bpe", "llama-bpe"},
    Known{WEIR_WORDS R"(\p{N})" WEIR_TAIL, "qwen2", ""},
    Known{"Split(" WEIR_UPPER "*" WEIR_LOWER "+" WEIR_SHORT "|" WEIR_UPPER "+" WEIR_LOWER
          "*" WEIR_SHORT R"(|\p{N}{1,3})" WEIR_CASED_TAIL,
          "gpt-4o", ""},
    Known{"Split(" WEIR_UPPER "*" WEIR_LOWER "+|" WEIR_UPPER "+" WEIR_LOWER
          R"(*|\p{N})" WEIR_CASED_TAIL,
          "tekken", "tekken"},
};

}  // namespace

Result<std::string> recognize_pre_tokenizer(const Json& pre_tokenizer, bool ignore_merges) {
  std::string description;
  describe(pre_tokenizer, description);
  for (const Known& k : kKnown) {
    if (k.description != description) continue;
    const std::string_view pre = ignore_merges ? k.pre_ignoring_merges : k.pre;
    if (!pre.empty()) return std::string(pre);
  }
  return make_error(ErrorCode::kUnsupported,
                    "tokenizer.json: pre_tokenizer is not known{}: {}; take the model as GGUF",
                    ignore_merges ? " together with ignore_merges" : "",
                    text::json_quote(std::string_view(description).substr(0, 400), true));
}

const Json* find_part(const Json* part, std::string_view type) {
  if (part == nullptr) return nullptr;
  if (type_of(*part) == type) return part;
  const Json* list = list_of(*part);
  if (list == nullptr) return nullptr;
  for (const Json& item : list->items()) {
    if (type_of(item) == type) return &item;
  }
  return nullptr;
}

}  // namespace weir::checkpoint
