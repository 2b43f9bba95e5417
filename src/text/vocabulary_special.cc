// The special tokens of a vocabulary: ids from metadata, end-of-generation tokens by name, flags.
#include <algorithm>
#include <array>
#include <utility>

#include "text/ascii_lower.h"
#include "text/pretokenizer.h"
#include "text/token_trie.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace weir::text {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

// Names that end a message in the models that have them; the list of llama.cpp, without which a
// model whose metadata names only EOS talks on after its turn.
constexpr std::array<std::string_view, 21> kEndTokens = {"<|eot_id|>",
                                                         "<|im_end|>",
                                                         "<|end|>",
                                                         "<|return|>",
                                                         "<|call|>",
                                                         "<|flush|>",
                                                         "<|calls|>",
                                                         "<end_of_turn>",
                                                         "<|endoftext|>",
                                                         "</s>",
                                                         "<|eom_id|>",
                                                         "<EOT>",
                                                         "_<EOT>",
                                                         "[EOT]",
                                                         "[EOS]",
                                                         "<|end_of_text|>",
                                                         "<end_of_utterance>",
                                                         "<eos>",
                                                         "<turn|>",
                                                         "<|tool_response>",
                                                         "<｜end▁of▁sentence｜>"};

// Of these the first that is there is EOT when the metadata names none.
constexpr std::array<std::string_view, 10> kTurnEnds = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",         "<end_of_utterance>",
    "<EOT>",      "_<EOT>",     "[EOT]",   "<｜end▁of▁sentence｜>", "<|end_of_text|>"};

// Fill-in-the-middle markers after which a model rambles: generation ends there as well.
constexpr std::array<std::string_view, 8> kFimEnds = {"<|fim_pad|>",  "<fim-pad>",     "<fim_pad>",
                                                      "<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                                      "<reponame>",   "<|file_sep|>"};

// Turn markers that some converters leave user-defined. Text that a user wrote must not become one.
bool is_turn_marker(std::string_view piece) {
  const auto wrapped = [&](std::string_view open, std::string_view close) {
    return piece.size() > open.size() + close.size() && piece.substr(0, open.size()) == open &&
           piece.substr(piece.size() - close.size()) == close;
  };
  return wrapped("<|", "|>") || wrapped("<｜", "｜>") || piece == "<start_of_turn>" ||
         piece == "<end_of_turn>" || piece == "[INST]" || piece == "[/INST]";
}

}  // namespace

bool Vocabulary::matches_all_text(int32_t id) const {
  return kind(id) == TokenKind::kUserDefined && !is_turn_marker(piece(id));
}

Status Vocabulary::read_special_ids(const gguf::File& file) {
  const auto in_range = [&](int32_t id) -> std::optional<int32_t> {
    return contains(id) ? std::optional<int32_t>(id) : std::nullopt;
  };
  if (family_ == Family::kSpm) {  // as the sentencepiece trainer numbers them
    special_.unk = in_range(0);
    special_.bos = in_range(1);
    special_.eos = in_range(2);
  } else if (family_ == Family::kWordPiece) {  // as in the published BERT vocabularies
    special_.pad = in_range(0);
    special_.unk = in_range(100);
    special_.bos = in_range(101);
    special_.sep = in_range(102);
    special_.mask = in_range(103);
  }
  std::optional<int32_t> fim;
  const auto read = [&](std::string_view name, std::optional<int32_t>& id) -> Status {
    const std::string key = fmt::format("{}{}", kPrefix, name);
    if (file.find(key) == nullptr) return {};
    WEIR_ASSIGN(const int64_t value, file.get_int(key));
    if (value == -1 || value == UINT32_MAX) {  // how converters write "none"
      id = std::nullopt;
      return {};
    }
    if (value < 0 || value >= size()) {
      return make_error(ErrorCode::kCorrupt, "{} is {}, but the vocabulary has {} tokens", key,
                        value, size());
    }
    id = static_cast<int32_t>(value);
    return {};
  };
  const std::array<std::pair<std::string_view, std::optional<int32_t>*>, 9> ids = {{
      {"bos_token_id", &special_.bos},
      {"eos_token_id", &special_.eos},
      {"eot_token_id", &special_.eot},
      {"eom_token_id", &special_.eom},
      {"unknown_token_id", &special_.unk},
      {"seperator_token_id", &special_.sep},  // sic: the specification's spelling
      {"separator_token_id", &special_.sep},
      {"padding_token_id", &special_.pad},
      {"mask_token_id", &special_.mask},
  }};
  for (const auto& [name, id] : ids) WEIR_TRY(read(name, *id));
  if (family_ == Family::kWordPiece) WEIR_TRY(read("cls_token_id", special_.bos));
  for (const std::string_view name : {"fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"}) {
    fim = std::nullopt;
    WEIR_TRY(read(name, fim));
    if (fim) eog_.push_back(*fim);
  }
  return {};
}

Status Vocabulary::read_flags(const gguf::File& file) {
  if (family_ == Family::kBpe) {
    const PreTokenizer& p = *find_pre_tokenizer(pre_);
    flags_.add_bos = p.adds_bos && special_.bos.has_value();
    flags_.ignore_merges = p.ignores_merges;
  } else {
    flags_.add_bos = special_.bos.has_value();
    flags_.add_space_prefix = family_ == Family::kSpm;
    flags_.add_eos = family_ == Family::kWordPiece && special_.sep.has_value();
  }
  const auto flag = [&](std::string_view name, bool& value) -> Status {
    WEIR_ASSIGN(value, file.bool_or(fmt::format("{}{}", kPrefix, name), value));
    return {};
  };
  WEIR_TRY(flag("add_bos_token", flags_.add_bos));
  if (family_ == Family::kWordPiece) {
    // The last [SEP]; add_sep_token is about a second one between two texts.
    WEIR_TRY(flag("add_eos_token", flags_.add_eos));
    WEIR_TRY(flag("normalizer.lowercase", flags_.lowercase));
    flags_.strip_accents = flags_.lowercase;  // the rule of BertNormalizer when it is not said
    WEIR_TRY(flag("normalizer.strip_accents", flags_.strip_accents));
  } else {
    WEIR_TRY(flag("add_eos_token", flags_.add_eos));
    if (family_ == Family::kSpm) WEIR_TRY(flag("add_space_prefix", flags_.add_space_prefix));
  }
  if (flags_.add_bos && !special_.bos) {
    return make_error(ErrorCode::kCorrupt,
                      "{0}add_bos_token is true, but {0}bos_token_id is missing", kPrefix);
  }
  const bool has_end =
      family_ == Family::kWordPiece ? special_.sep.has_value() : special_.eos.has_value();
  if (flags_.add_eos && !has_end) {
    return make_error(ErrorCode::kCorrupt, "{0}add_eos_token is true, but {0}{1} is missing",
                      kPrefix,
                      family_ == Family::kWordPiece ? "seperator_token_id" : "eos_token_id");
  }
  return {};
}

void Vocabulary::find_end_tokens() {
  const auto make_control = [&](int32_t id) {
    kinds_[static_cast<size_t>(id)] = TokenKind::kControl;
  };
  if (!special_.eot) {
    for (const std::string_view name : kTurnEnds) {
      if (!special_.eot) special_.eot = find(name);
    }
  }
  if (!special_.eom) special_.eom = find("<|eom_id|>");
  for (const std::string_view name : kEndTokens) {
    const std::optional<int32_t> id = find(name);
    if (!id) continue;
    eog_.push_back(*id);
    make_control(*id);
  }
  for (const std::string_view name : kFimEnds) {
    const std::optional<int32_t> id = find(name);
    if (!id || kind(*id) == TokenKind::kNormal) continue;
    eog_.push_back(*id);
  }
  for (const auto& id : {special_.eos, special_.eot, special_.eom}) {
    if (id) eog_.push_back(*id);
  }
  const auto drop = [&](std::string_view name, TokenKind kind_then) {
    const std::optional<int32_t> id = find(name);
    if (!id || id == special_.eos) return;
    eog_.erase(std::remove(eog_.begin(), eog_.end(), *id), eog_.end());
    kinds_[static_cast<size_t>(*id)] = kind_then;
  };
  // Harmony-like formats end a message inside the turn with <|end|>; the turn ends with another.
  const bool has_call = find("<|call|>") || find("<|calls|>");
  if (has_call && (find("<|return|>") || find("<|flush|>"))) drop("<|end|>", TokenKind::kControl);
  // Gemma 4 has an ordinary "</s>", as in HTML.
  if (find("<|tool_response>")) drop("</s>", TokenKind::kNormal);
  std::sort(eog_.begin(), eog_.end());
  eog_.erase(std::unique(eog_.begin(), eog_.end()), eog_.end());
}

Status Vocabulary::check_special_tokens() const {
  for (int32_t id = 0; id < size(); ++id) {
    if (!is_control(id) && kind(id) != TokenKind::kUserDefined) continue;
    if (piece(id).size() > kMaxSpecialTokenBytes) {
      return make_error(
          ErrorCode::kLimit,
          "tokenizer.ggml.tokens[{}]: a special token of {} bytes; at most {} are accepted", id,
          piece(id).size(), kMaxSpecialTokenBytes);
    }
  }
  return {};
}

Status Vocabulary::read_strip_rules(const gguf::File& file) {
  // The flags lstrip and rstrip of tokenizer.json are not in GGUF files; these are the models known
  // to have them, by the names that llama.cpp goes by.
  strip_.assign(pieces_.size(), 0);
  const auto has = [](std::string_view text, std::string_view word) {
    return text.find(word) != std::string_view::npos;
  };
  WEIR_ASSIGN(const std::string_view given, file.string_or("general.name", ""));
  const std::string name = ascii_lower(given);
  if (has(pre_, "jina-v2-de") || has(pre_, "jina-v2-es") || has(pre_, "jina-v2-code")) {
    if (const auto id = find("<mask>")) strip_[static_cast<size_t>(*id)] = 1;
  } else if (has(name, "phi-3") || has(name, "phi3")) {
    for (int32_t id = 0; id < size(); ++id) {
      const bool special = is_control(id) || kind(id) == TokenKind::kUserDefined;
      const std::string_view p = piece(id);
      if (special && p != "<unk>" && p != "<s>" && p != "<|endoftext|>") {
        strip_[static_cast<size_t>(id)] = 2;
      }
    }
  } else if (has(name, "modern-bert")) {
    if (const auto id = find("[MASK]")) strip_[static_cast<size_t>(*id)] = 1;
  }
  return {};
}

}  // namespace weir::text
