#include "gguf/sniff.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace weir::gguf {

namespace {

constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;

std::string_view guess(std::string_view text) {
  if (text.starts_with("version https://git-lfs")) {
    return "it is a git-lfs pointer; fetch the model itself with 'git lfs pull'";
  }
  if (text.starts_with("<!") || text.starts_with("<html") || text.starts_with("<?xml")) {
    return "it is a web page, probably an error page saved by the download; download it again";
  }
  if (text.starts_with("PK\x03\x04")) {
    return "it is a zip archive (a PyTorch checkpoint?); convert it to GGUF";
  }
  if (text.starts_with("lmgg") || text.starts_with("fmgg") || text.starts_with("tjgg")) {
    return "it is a GGML file from before GGUF; convert it again";
  }
  if (text.size() > 8 && text[8] == '{')
    return "it is a safetensors file; give its folder, with config.json and tokenizer.json";
  const std::string_view head = text.substr(0, 256);
  const bool is_text = std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\r' || byte == '\t';
  });
  if (is_text) return "it is a text file; give the path of a model file";
  return "give the path of a GGUF model file";
}

}  // namespace

Status check_magic(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) {
    return make_error(ErrorCode::kCorrupt, "{} is empty (0 bytes): download it again", name);
  }
  const bool cut = text.size() < 8 && std::string_view("GGUF").starts_with(text.substr(0, 4));
  if (cut) {
    return make_error(
        ErrorCode::kCorrupt,
        "{} is {} bytes long, but a GGUF header needs 24: the file is cut short, download it again",
        name, text.size());
  }
  if (!text.starts_with("GGUF")) {
    return make_error(ErrorCode::kCorrupt, "{} is not a GGUF file (no 'GGUF' at byte 0): {}", name,
                      guess(text));
  }
  uint32_t version = 0;
  std::memcpy(&version, text.data() + 4, sizeof version);
  if (version >= kOldestVersion && version <= kNewestVersion) return {};
  if (version != 0 && (version & 0xffff) == 0) {
    return make_error(
        ErrorCode::kUnsupported,
        "{} is a big-endian GGUF file (version field at byte 4); weir reads little-endian "
        "ones: convert it with gguf-convert-endian",
        name);
  }
  return make_error(
      ErrorCode::kUnsupported,
      "{} is GGUF version {} (at byte 4); weir reads versions {} and {}: {}", name, version,
      kOldestVersion, kNewestVersion,
      version > kNewestVersion ? "update weir, or the file is damaged" : "convert the model again");
}

}  // namespace weir::gguf
