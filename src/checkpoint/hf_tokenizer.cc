#include "checkpoint/hf_tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "checkpoint/hf_pretokenizer.h"

namespace weir::checkpoint {
namespace {

using text::Json;

constexpr uint64_t kMaxTokens = 1 << 22;

// Values of tokenizer.ggml.token_type.
enum Kind : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };

const Json* member(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string_view text_of(const Json* json) {
  return json != nullptr && json->is_string() ? std::string_view(json->as_string())
                                              : std::string_view();
}

// A token named in tokenizer_config.json: its text, or an object with it as "content".
std::string_view token_text(const Json* json) {
  if (json != nullptr && json->is_object()) json = json->find("content");
  return text_of(json);
}

bool flag(const Json& json, std::string_view key, bool fallback) {
  const Json* value = member(json, key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

bool is_byte_piece(std::string_view piece) {
  const auto hex = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return piece.size() == 6 && piece.starts_with("<0x") && hex(piece[3]) && hex(piece[4]) &&
         piece[5] == '>';
}

Error corrupt(std::string_view why) {
  return make_error(ErrorCode::kCorrupt, "tokenizer.json: {}", why);
}

class TokenizerConverter {
 public:
  TokenizerConverter(const TokenizerFiles& files, uint64_t rows, gguf::Writer& writer)
      : in_(files), rows_(rows), w_(writer) {}

  Status run() {
    WEIR_TRY(find_model());
    WEIR_TRY(read_vocabulary());
    WEIR_TRY(read_added_tokens());
    if (word_piece_) {
      spell_as_word_piece();
    } else {
      WEIR_TRY(read_merges());
    }
    w_.set_strings("tokenizer.ggml.tokens", std::span<const std::string>(tokens_));
    w_.set_ints("tokenizer.ggml.token_type", kinds_);
    WEIR_TRY(special_ids());
    added_at_the_ends();
    return chat_template();
  }

 private:
  // BPE over bytes (GPT-2 and after), or over characters with bytes to fall back to, which is how
  // converted SentencePiece models look.
  Status find_model() {
    model_ = member(in_.tokenizer, "model");
    if (model_ == nullptr || !model_->is_object()) return corrupt("model must be an object");
    const std::string_view type = text_of(model_->find("type"));
    if (type == "WordPiece") return find_word_piece();
    if (type != "BPE" && !(type.empty() && model_->find("merges") != nullptr)) {
      return make_error(
          ErrorCode::kUnsupported,
          "tokenizer.json: model.type {} is not supported; supported: BPE, WordPiece. Take the "
          "model as GGUF",
          text::json_quote(type.substr(0, 40)));
    }
    const Json* pre = member(in_.tokenizer, "pre_tokenizer");
    const Json* normalizer = member(in_.tokenizer, "normalizer");
    byte_level_ = find_part(pre, "ByteLevel") != nullptr;
    if (byte_level_) {
      w_.set_string("tokenizer.ggml.model", "gpt2");
      WEIR_ASSIGN(const std::string name,
                  recognize_pre_tokenizer(*pre, flag(*model_, "ignore_merges", false)));
      w_.set_string("tokenizer.ggml.pre", name);
      return {};
    }
    if (!flag(*model_, "byte_fallback", false)) {
      return make_error(ErrorCode::kUnsupported,
                        "tokenizer.json: a BPE model without ByteLevel pre-tokenizer and without "
                        "byte_fallback is not supported; take the model as GGUF");
    }
    w_.set_string("tokenizer.ggml.model", "llama");
    w_.set_string("tokenizer.ggml.pre", "default");
    bool prefix = find_part(normalizer, "Prepend") != nullptr;
    if (const Json* metaspace = find_part(pre, "Metaspace")) {
      const std::string_view scheme = text_of(metaspace->find("prepend_scheme"));
      prefix = prefix ||
               (scheme.empty() ? flag(*metaspace, "add_prefix_space", true) : scheme != "never");
    }
    w_.set_bool("tokenizer.ggml.add_space_prefix", prefix);
    return {};
  }

  // The tokenizer of BERT; what its parts do is fixed but for case and accents.
  Status find_word_piece() {
    word_piece_ = true;
    const Json* normalizer = find_part(member(in_.tokenizer, "normalizer"), "BertNormalizer");
    const Json* pre = find_part(member(in_.tokenizer, "pre_tokenizer"), "BertPreTokenizer");
    const Json* prefix = member(*model_, "continuing_subword_prefix");
    const Json* longest = member(*model_, "max_input_chars_per_word");
    const bool plain = normalizer != nullptr && pre != nullptr &&
                       flag(*normalizer, "clean_text", true) &&
                       flag(*normalizer, "handle_chinese_chars", true) &&
                       (prefix == nullptr || text_of(prefix) == "##") &&
                       (longest == nullptr || (longest->is_int() && longest->as_int() == 100));
    if (!plain) {
      return make_error(
          ErrorCode::kUnsupported,
          "tokenizer.json: WordPiece is known as BERT has it: BertNormalizer with "
          "clean_text and handle_chinese_chars, BertPreTokenizer, \"##\", words of up "
          "to 100 characters; take the model as GGUF");
    }
    const bool lowercase = flag(*normalizer, "lowercase", true);
    w_.set_string("tokenizer.ggml.model", "bert");
    w_.set_string("tokenizer.ggml.pre", "default");
    w_.set_bool("tokenizer.ggml.normalizer.lowercase", lowercase);
    w_.set_bool("tokenizer.ggml.normalizer.strip_accents",
                flag(*normalizer, "strip_accents", lowercase));
    return {};
  }

  // How GGUF files spell pieces: "##x", which continues a word, as "x", and others with a "▁".
  void spell_as_word_piece() {
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (kinds_[id] != kNormal) continue;
      std::string& piece = tokens_[id];
      if (piece.size() > 2 && piece.starts_with("##")) {
        piece.erase(0, 2);
      } else {
        piece.insert(0, "\xE2\x96\x81");
      }
    }
  }

  Status put(int64_t id, std::string_view text, Kind kind) {
    if (id < 0 || static_cast<uint64_t>(id) >= kMaxTokens) {
      return corrupt(fmt::format("the id {} of token {} is not within 0 to {}", id,
                                 text::json_quote(text.substr(0, 40)), kMaxTokens - 1));
    }
    const auto at = static_cast<size_t>(id);
    if (at >= rows_) return {};  // no row in the embedding: the model cannot know it
    if (kinds_[at] != kUnused && tokens_[at] != text) {
      return corrupt(fmt::format("tokens {} and {} have the same id {}",
                                 text::json_quote(std::string_view(tokens_[at]).substr(0, 40)),
                                 text::json_quote(text.substr(0, 40)), id));
    }
    tokens_[at] = text;
    kinds_[at] = kind;
    return {};
  }

  Status read_vocabulary() {
    if (rows_ == 0 || rows_ > kMaxTokens) {
      return make_error(ErrorCode::kLimit, "the embedding has {} rows; 1 to {} are read", rows_,
                        kMaxTokens);
    }
    tokens_.resize(rows_);
    kinds_.assign(rows_, kUnused);
    const Json* vocab = model_->find("vocab");
    if (vocab == nullptr || !vocab->is_object()) return corrupt("model.vocab must be an object");
    const std::string_view unknown = text_of(model_->find("unk_token"));
    for (const auto& [text, id] : vocab->members()) {
      if (!id.is_int()) return corrupt("model.vocab must hold integers");
      Kind kind = kNormal;
      if (!byte_level_ && is_byte_piece(text)) kind = kByte;
      if (!byte_level_ && !unknown.empty() && text == unknown) kind = kUnknown;
      WEIR_TRY(put(id.as_int(), text, kind));
    }
    return {};
  }

  Status read_added_tokens() {
    const Json* added = member(in_.tokenizer, "added_tokens");
    if (added != nullptr && !added->is_array()) return corrupt("added_tokens must be a list");
    const size_t count = added == nullptr ? 0 : added->size();
    for (size_t i = 0; i < count; ++i) {
      const Json& t = added->items()[i];
      const Json* id = t.find("id");
      const Json* content = t.find("content");
      if (id == nullptr || !id->is_int() || content == nullptr || !content->is_string()) {
        return corrupt(fmt::format("added_tokens[{}] needs an id and a content", i));
      }
      const auto at = static_cast<uint64_t>(id->as_int());
      const bool unknown = !byte_level_ && at < rows_ && kinds_[at] == kUnknown;
      const Kind kind = unknown ? kUnknown : flag(t, "special", false) ? kControl : kUser;
      WEIR_TRY(put(id->as_int(), content->as_string(), kind));
    }
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (kinds_[id] == kUnused) {
        tokens_[id] = fmt::format("[PAD{}]", id);
      }
      ids_.emplace(tokens_[id], static_cast<int32_t>(id));
    }
    return {};
  }

  // "a b", or since 2024 ["a", "b"].
  Status read_merges() {
    const Json* list = model_->find("merges");
    if (list == nullptr || !list->is_array()) return corrupt("model.merges must be a list");
    std::vector<std::string> merges;
    merges.reserve(list->size());
    for (const Json& item : list->items()) {
      if (item.is_string()) {
        merges.push_back(item.as_string());
      } else if (item.is_array() && item.size() == 2 && item.items()[0].is_string() &&
                 item.items()[1].is_string()) {
        merges.push_back(item.items()[0].as_string() + " " + item.items()[1].as_string());
      } else {
        return corrupt(fmt::format("model.merges[{}] must be two pieces", merges.size()));
      }
    }
    if (byte_level_) {
      w_.set_strings("tokenizer.ggml.merges", std::span<const std::string>(merges));
    } else {
      scores(merges);
    }
    return {};
  }

  // SentencePiece merges the pair whose result scores highest: the earlier a merge stands, the
  // higher its result. What no merge makes comes last.
  void scores(const std::vector<std::string>& merges) {
    std::vector<float> scores(tokens_.size(), -static_cast<float>(merges.size() + 1));
    std::vector<bool> seen(tokens_.size(), false);
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string& m = merges[rank];
      const size_t space = m.find(' ', 1);
      if (space == std::string::npos) continue;
      const auto at = ids_.find(m.substr(0, space) + m.substr(space + 1));
      if (at == ids_.end()) continue;
      const auto id = static_cast<size_t>(at->second);
      if (seen[id]) continue;
      seen[id] = true;
      scores[id] = -static_cast<float>(rank);
    }
    w_.set_floats("tokenizer.ggml.scores", scores);
  }

  std::optional<int32_t> id_of(std::string_view text) const {
    const auto at = ids_.find(std::string(text));
    return text.empty() || at == ids_.end() ? std::nullopt : std::optional<int32_t>(at->second);
  }

  // The ids that a field names: one number or a list of them.
  std::vector<int32_t> numbers(const Json& json, std::string_view key) const {
    std::vector<int32_t> out;
    const auto add = [&](const Json& v) {
      if (v.is_int() && v.as_int() >= 0 && static_cast<uint64_t>(v.as_int()) < rows_) {
        out.push_back(static_cast<int32_t>(v.as_int()));
      }
    };
    const Json* value = member(json, key);
    if (value == nullptr) return out;
    if (!value->is_array()) {
      add(*value);
    } else {
      for (const Json& v : value->items()) add(v);
    }
    return out;
  }

  // Named by tokenizer_config.json, else by generation_config.json, else by config.json. Of several
  // ends of generation the tokenizer's is EOS, the next are EOT and EOM.
  Status special_ids() {
    const auto ids = [&](std::string_view name) {
      std::vector<int32_t> out;
      const std::string token = std::string(name) + "_token";
      if (const auto id = id_of(token_text(member(in_.tokenizer_config, token)))) {
        out.push_back(*id);
      }
      for (const Json* json : {&in_.generation, &in_.config}) {
        for (const int32_t id : numbers(*json, token + "_id")) {
          if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
        }
      }
      return out;
    };
    const auto set = [&](std::string_view key, int32_t id) {
      w_.set_uint(fmt::format("tokenizer.ggml.{}_token_id", key), static_cast<uint32_t>(id));
    };
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames = {
        {{"bos", "bos"},
         {"unk", "unknown"},
         {"pad", "padding"},
         {"cls", "bos"},
         {"sep", "seperator"},  // sic
         {"mask", "mask"}}};
    for (const auto& [name, key] : kNames) {
      const std::vector<int32_t> found = ids(name);
      const bool of_bert = name == "cls" || name == "sep" || name == "mask";
      if (found.empty() || (of_bert && !word_piece_)) continue;
      set(key, found.front());
      if (key == "bos") bos_ = found.front();
      if (name == "sep") eos_ = found.front();
    }
    const std::vector<int32_t> ends = ids("eos");
    constexpr std::array<std::string_view, 3> kEnds = {"eos", "eot", "eom"};
    for (size_t i = 0; i < std::min(ends.size(), kEnds.size()); ++i) set(kEnds[i], ends[i]);
    if (!ends.empty() && !word_piece_) eos_ = ends.front();
    return {};
  }

  // What stands before and behind a text: what the post-processor's template for a single one says,
  // else add_bos_token and add_eos_token.
  void added_at_the_ends() {
    // BertProcessing, too, is [CLS] and [SEP].
    bool bos = flag(in_.tokenizer_config, "add_bos_token", word_piece_);
    bool eos = flag(in_.tokenizer_config, "add_eos_token", word_piece_);
    const Json* post = member(in_.tokenizer, "post_processor");
    const Json* found = nullptr;
    if (post != nullptr && text_of(post->find("type")) == "TemplateProcessing") found = post;
    const Json* list = post == nullptr ? nullptr : post->find("processors");
    if (list != nullptr && list->is_array()) {
      for (const Json& p : list->items()) {
        if (text_of(p.find("type")) == "TemplateProcessing") found = &p;
      }
    }
    const Json* single = found == nullptr ? nullptr : found->find("single");
    if (single != nullptr && single->is_array() && single->size() > 0) {
      const auto is = [&](const Json& item, std::optional<int32_t> id) {
        const Json* special = item.find("SpecialToken");
        return id && special != nullptr && id_of(text_of(special->find("id"))) == id;
      };
      bos = is(single->items().front(), bos_);
      eos = single->size() > 1 && is(single->items().back(), eos_);
    }
    w_.set_bool("tokenizer.ggml.add_bos_token", bos && bos_);
    w_.set_bool("tokenizer.ggml.add_eos_token", eos && eos_);
  }

  Status chat_template() {
    if (!in_.chat_template.empty()) {
      w_.set_string("tokenizer.chat_template", in_.chat_template);
      return {};
    }
    const Json* source = member(in_.tokenizer_config, "chat_template");
    if (source != nullptr && source->is_array()) {
      const Json* chosen = nullptr;
      for (const Json& item : source->items()) {
        if (text_of(item.find("name")) == "default") chosen = item.find("template");
      }
      source = chosen;
    }
    if (source == nullptr) return {};
    if (!source->is_string()) {
      return make_error(ErrorCode::kCorrupt,
                        "tokenizer_config.json: chat_template must be a string, or a list of names "
                        "and templates");
    }
    w_.set_string("tokenizer.chat_template", source->as_string());
    return {};
  }

  const TokenizerFiles& in_;
  uint64_t rows_;
  gguf::Writer& w_;
  const Json* model_ = nullptr;
  bool byte_level_ = false;
  bool word_piece_ = false;
  std::vector<std::string> tokens_;
  std::vector<int32_t> kinds_;
  std::unordered_map<std::string, int32_t> ids_;
  std::optional<int32_t> bos_;
  std::optional<int32_t> eos_;
};

}  // namespace

Status convert_tokenizer(const TokenizerFiles& files, uint64_t rows, gguf::Writer& writer) {
  return TokenizerConverter(files, rows, writer).run();
}

}  // namespace weir::checkpoint
