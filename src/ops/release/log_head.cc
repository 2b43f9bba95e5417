#include "ops/release/log_head.h"

#include <filesystem>

#include "ops/release/json_fields.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kSchema = "weir-log-head-1";

std::string message_of(const LogHead& head) { return fmt::format("{}\n{}", head.seq, head.hash); }

std::string text_of(const LogHead& head, std::string_view signature) {
  Json j = Json::object();
  j.set("schema", kSchema);
  j.set("seq", head.seq);
  j.set("hash", head.hash);
  j.set("signature", signature);
  text::JsonDump dump;
  dump.indent = 1;
  dump.key = ": ";
  return j.dump(dump) + "\n";
}

}  // namespace

std::string log_head_path(const std::string& log_path) {
  return std::filesystem::path(log_path).replace_extension(".head").string();
}

std::string log_head_text(const LogHead& head, const SigningKey& key) {
  return text_of(head, key.sign(kSignLogHead, message_of(head)));
}

Result<LogHead> parse_log_head(std::string_view text, std::string_view name, const PublicKey& key) {
  auto json = Json::parse(text, {.max_depth = 4, .max_values = 64});
  if (!json.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", name, json.error().message);
  const JsonFields fields(*json, std::string(name));
  WEIR_TRY(fields.exactly({"schema", "seq", "hash", "signature"}));
  WEIR_ASSIGN(const std::string schema, fields.text("schema"));
  if (schema != kSchema) return fields.bad("schema", fmt::format("\"{}\"", kSchema));
  LogHead out;
  WEIR_ASSIGN(out.seq, fields.integer("seq", 0, int64_t{1} << 53));
  WEIR_ASSIGN(out.hash, fields.hex("hash"));
  WEIR_ASSIGN(const std::string signature, fields.hex("signature", 128));
  if (!key.verify(kSignLogHead, message_of(out), signature)) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the signature does not hold: it was changed, or signed by another key",
                      name);
  }
  if (text_of(out, signature) != text)
    return make_error(ErrorCode::kCorrupt, "{}: not as weir promote writes it", name);
  return out;
}

Result<std::optional<LogHead>> read_log_head(const std::string& path, const PublicKey& key) {
  auto text = os::read_file(path, 1 << 16);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return std::optional<LogHead>();
  if (!text.ok()) return text.error();
  WEIR_ASSIGN(LogHead head, parse_log_head(*text, path, key));
  return std::optional<LogHead>(std::move(head));
}

}  // namespace weir::ops
