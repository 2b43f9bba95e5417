// weir tokenize: text to token ids and back.
#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <iterator>
#include <memory>

#include "checkpoint/open.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "gguf/file.h"
#include "text/json.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace weir::cli {
namespace {

struct Options {
  std::string model;
  std::string text;
  bool has_text = false;
  bool no_bos = false;
  bool no_special = false;
  bool decode = false;
  bool json = false;
};

Result<std::vector<int32_t>> parse_ids(std::string_view text, int32_t vocab_size) {
  std::vector<int32_t> ids;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == ' ' || c == ',' || c == '[' || c == ']' || c == '\n' || c == '\t' || c == '\r') {
      ++i;
      continue;
    }
    int32_t id = 0;
    const auto [end, ec] = std::from_chars(text.data() + i, text.data() + text.size(), id);
    if (ec != std::errc() || id < 0 || id >= vocab_size) {
      return make_error(ErrorCode::kUsage,
                        "--decode: \"{}\" at character {} is not a token id; ids are 0 to {}",
                        text.substr(i, 16), i, vocab_size - 1);
    }
    ids.push_back(id);
    i = static_cast<size_t>(end - text.data());
  }
  return ids;
}

// "text", with control characters and what is no whole UTF-8 character as \\xNN.
std::string in_quotes(std::string_view bytes) {
  std::string out = "\"";
  for (size_t at = 0; at < bytes.size();) {
    const text::Utf8Char c = text::decode_utf8(bytes, at);
    const bool plain = c.valid && c.codepoint >= 0x20 && c.codepoint != 0x7F;
    for (const char b : bytes.substr(at, c.length)) {
      if (plain) {
        out += b;
      } else {
        fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned char>(b));
      }
    }
    at += c.length;
  }
  return out + '"';
}

void print_encoded(const Options& o, const text::Tokenizer& tokenizer,
                   const std::vector<int32_t>& ids) {
  if (o.json) {
    fmt::print("{{\"ids\":[{}],\"count\":{}}}\n", fmt::join(ids, ","), ids.size());
    return;
  }
  for (const int32_t id : ids)
    fmt::print("{:>7}  {}\n", id,
               in_quotes(tokenizer.is_special(id) ? std::string(tokenizer.token_text(id))
                                                  : tokenizer.token_bytes(id)));
  fmt::print("{} tokens\n", ids.size());
}

Result<int> tokenize(const Options& o) {
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  WEIR_ASSIGN(const checkpoint::OpenedModel model, checkpoint::open_model(path));
  const gguf::File& file = model.file;
  WEIR_ASSIGN(const std::unique_ptr<text::Tokenizer> tokenizer, text::Tokenizer::load(file));
  std::string input = o.text;
  if (!o.has_text) input.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (o.decode) {
    WEIR_ASSIGN(const std::vector<int32_t> ids, parse_ids(input, tokenizer->vocab_size()));
    const std::string text = tokenizer->decode(ids, /*skip_special=*/o.no_special);
    if (o.json) {
      fmt::print("{{\"text\":{}}}\n", text::Json(text).dump());
    } else {
      fmt::print("{}\n", text);
    }
    return kExitOk;
  }
  print_encoded(
      o, *tokenizer,
      tokenizer->encode(input, {.add_bos_eos = !o.no_bos, .parse_special = !o.no_special}));
  return kExitOk;
}

}  // namespace

void add_tokenize(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(root, "tokenize", "Text to token ids and back",
                            "  weir tokenize smollm2-135m-instruct --text \"Hello world\"\n"
                            "  cat page.txt | weir tokenize model.gguf --json\n"
                            "  weir tokenize model.gguf --decode --text \"19556 905\"\n");
  add_model_argument(c, o->model);
  CLI::Option* text = c->add_option("--text", o->text, "the text (otherwise standard input)");
  c->add_flag("--no-bos", o->no_bos, "leave out the tokens that the vocabulary puts around a text");
  c->add_flag("--no-special", o->no_special,
              "special tokens in the text are plain text; with --decode: leave them out");
  c->add_flag("--decode", o->decode, "the input is token ids; print their text");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, text, &selected] {
    o->has_text = text->count() > 0;
    selected.action = [o] { return tokenize(*o); };
  });
}

}  // namespace weir::cli
