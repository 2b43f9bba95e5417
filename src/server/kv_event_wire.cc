#include "server/kv_event_wire.h"

#include <fmt/format.h>

#include <bit>
#include <string_view>

namespace weir::server {
namespace {

using Kind = kv::CacheEvent::Kind;

std::string hex(const Hash128& hash) {
  std::string text;
  for (const std::byte b : hash.bytes())
    fmt::format_to(std::back_inserter(text), "{:02x}", static_cast<unsigned>(b));
  return text;
}

// Of the msgpack specification, what these messages need.
class Packer {
 public:
  void array(size_t count) { head(count, 0x90, 16, 0xdc); }
  void text(std::string_view s) {
    if (s.size() < 32) {
      byte(0xa0 | s.size());
    } else {
      byte(0xd9);  // up to 255 bytes; ours are names
      byte(s.size());
    }
    out_ += s;
  }
  void nil() { byte(0xc0); }
  void number(uint64_t n) {
    if (n < 128) {
      byte(n);
    } else if (n <= 0xff) {
      byte(0xcc);
      byte(n);
    } else if (n <= 0xffff) {
      byte(0xcd);
      big_endian(n, 2);
    } else if (n <= 0xffffffff) {
      byte(0xce);
      big_endian(n, 4);
    } else {
      byte(0xcf);
      big_endian(n, 8);
    }
  }
  void real(double x) {
    byte(0xcb);
    big_endian(std::bit_cast<uint64_t>(x), 8);
  }
  std::string take() { return std::move(out_); }

 private:
  void byte(uint64_t b) { out_ += static_cast<char>(b); }
  void big_endian(uint64_t n, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) byte((n >> (8 * i)) & 0xff);
  }
  void head(size_t count, uint64_t fix, size_t fix_limit, uint64_t wide) {
    if (count < fix_limit) {
      byte(fix | count);
    } else if (count <= 0xffff) {
      byte(wide);
      big_endian(count, 2);
    } else {
      byte(wide + 1);
      big_endian(count, 4);
    }
  }
  std::string out_;
};

void pack(Packer& p, const kv::CacheEvent& e, int32_t page_tokens) {
  constexpr std::string_view kMedium = "GPU";
  switch (e.kind) {
    case Kind::kStored:
      p.array(8);
      p.text("BlockStored");
      p.array(1);
      p.number(e.hash.low);
      if (e.parent.has_value()) {
        p.number(e.parent->low);
      } else {
        p.nil();
      }
      p.array(e.tokens.size());
      for (const int32_t token : e.tokens) p.number(static_cast<uint64_t>(token));
      p.number(static_cast<uint64_t>(page_tokens));
      p.nil();
      p.text(kMedium);
      p.nil();
      break;
    case Kind::kRemoved:
      p.array(3);
      p.text("BlockRemoved");
      p.array(1);
      p.number(e.hash.low);
      p.text(kMedium);
      break;
    case Kind::kCleared:
      p.array(1);
      p.text("AllBlocksCleared");
      break;
  }
}

}  // namespace

std::string kv_events_json(const kv::CacheEventBatch& batch) {
  std::string out = fmt::format(R"({{"seq":{},"ts":{},"events":[)", batch.sequence, batch.unix_s);
  auto to = std::back_inserter(out);
  for (size_t i = 0; i < batch.events.size(); ++i) {
    const kv::CacheEvent& e = batch.events[i];
    if (i > 0) out += ',';
    if (e.kind == Kind::kCleared) {
      out += R"({"type":"cleared"})";
    } else if (e.kind == Kind::kRemoved) {
      fmt::format_to(to, R"({{"type":"removed","hash":"{}"}})", hex(e.hash));
    } else {
      const std::string parent = e.parent.has_value() ? '"' + hex(*e.parent) + '"' : "null";
      fmt::format_to(to, R"({{"type":"stored","hash":"{}","parent":{},"tokens":[{}]}})",
                     hex(e.hash), parent, fmt::join(e.tokens, ","));
    }
  }
  out += "]}";
  return out;
}

std::string kv_events_vllm(const kv::CacheEventBatch& batch, int32_t page_tokens) {
  Packer p;
  p.array(2);
  p.real(static_cast<double>(batch.unix_s));
  p.array(batch.events.size());
  for (const kv::CacheEvent& e : batch.events) pack(p, e, page_tokens);
  return p.take();
}

}  // namespace weir::server
