#include "ops/release/pointer.h"

#include "ops/release/json_fields.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kSchema = "weir-pointer-1";

std::string message_of(const Pointer& p) {
  return fmt::format("{}\n{}\n{}\n{}", p.env, p.release, p.log_seq, p.log_hash);
}

std::string text_of(const Pointer& p, std::string_view signature) {
  Json j = Json::object();
  j.set("schema", kSchema);
  j.set("env", p.env);
  j.set("release", p.release);
  j.set("log_seq", p.log_seq);
  j.set("log_hash", p.log_hash);
  j.set("signature", signature);
  text::JsonDump dump;
  dump.indent = 1;
  dump.key = ": ";
  return j.dump(dump) + "\n";
}

}  // namespace

std::string pointer_text(const Pointer& pointer, const SigningKey& key) {
  return text_of(pointer, key.sign(kSignPointer, message_of(pointer)));
}

Result<Pointer> parse_pointer(std::string_view text, std::string_view name, std::string_view env,
                              const PublicKey& key) {
  auto json = Json::parse(text, {.max_depth = 4, .max_values = 64});
  if (!json.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", name, json.error().message);
  const JsonFields fields(*json, std::string(name));
  WEIR_TRY(fields.exactly({"schema", "env", "release", "log_seq", "log_hash", "signature"}));
  WEIR_ASSIGN(const std::string schema, fields.text("schema"));
  if (schema != kSchema) return fields.bad("schema", fmt::format("\"{}\"", kSchema));
  Pointer out;
  WEIR_ASSIGN(out.env, fields.text("env"));
  if (out.env != env) return fields.bad("env", env);
  WEIR_ASSIGN(out.release, fields.hex("release"));
  WEIR_ASSIGN(out.log_seq, fields.integer("log_seq", 1, int64_t{1} << 53));
  WEIR_ASSIGN(out.log_hash, fields.hex("log_hash"));
  WEIR_ASSIGN(const std::string signature, fields.hex("signature", 128));
  if (!key.verify(kSignPointer, message_of(out), signature)) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the signature does not hold: it was changed, or signed by another key",
                      name);
  }
  if (text_of(out, signature) != text)
    return make_error(ErrorCode::kCorrupt, "{}: not as weir promote writes it", name);
  return out;
}

Result<std::optional<Pointer>> read_pointer(const std::string& env_folder, std::string_view env,
                                            const PublicKey& key) {
  const std::string path = env_folder + "/" + kPointerFile;
  auto text = os::read_file(path, 1 << 16);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return std::optional<Pointer>();
  if (!text.ok()) return text.error();
  WEIR_ASSIGN(Pointer pointer, parse_pointer(*text, path, env, key));
  return std::optional<Pointer>(std::move(pointer));
}

}  // namespace weir::ops
