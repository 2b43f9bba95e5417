#include "server/kv_event_wire.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

kv::CacheEventBatch batch() {
  kv::CacheEventBatch b;
  b.sequence = 3;
  b.unix_s = 1'700'000'000;
  kv::CacheEvent stored;
  stored.hash = {0x1122334455667788, 1};
  stored.tokens = {5, 200, 70'000};
  b.events.push_back(stored);
  stored.parent = Hash128{9, 0};
  b.events.push_back(stored);
  kv::CacheEvent removed;
  removed.kind = kv::CacheEvent::Kind::kRemoved;
  removed.hash = {255, 0};
  b.events.push_back(removed);
  kv::CacheEvent cleared;
  cleared.kind = kv::CacheEvent::Kind::kCleared;
  b.events.push_back(cleared);
  return b;
}

TEST(KvEventWire, Json) {
  const std::string hash = "88776655443322110100000000000000";
  EXPECT_EQ(
      kv_events_json(batch()),
      R"({"seq":3,"ts":1700000000,"events":[{"type":"stored","hash":")" + hash +
          R"(","parent":null,"tokens":[5,200,70000]},{"type":"stored","hash":")" + hash +
          R"(","parent":"09000000000000000000000000000000","tokens":[5,200,70000]},)"
          R"({"type":"removed","hash":"ff000000000000000000000000000000"},{"type":"cleared"}]})");
}

// Bytes as msgspec.msgpack.encode gives them for the same lists.
TEST(KvEventWire, AsVllmPacksThem) {
  const std::string stored =
      "\xab"
      "BlockStored\x91\xcf\x11\x22\x33\x44\x55\x66\x77\x88";
  const std::string rest =
      std::string("\x93\x05\xcc\xc8\xce\x00\x01\x11\x70", 9) + "\x20\xc0\xa3GPU\xc0";
  std::string want("\x92\xcb\x41\xd9\x54\xfc\x40\x00\x00\x00\x94", 11);
  want += "\x98" + stored + "\xc0" + rest;
  want += "\x98" + stored + "\x09" + rest;
  want += std::string("\x93\xac") + "BlockRemoved" + std::string("\x91\xcc\xff\xa3", 4) + "GPU";
  want += std::string("\x91\xb0") + "AllBlocksCleared";
  EXPECT_EQ(kv_events_vllm(batch(), 32), want);
}

TEST(KvEventWire, LongListsHaveLongHeads) {
  kv::CacheEventBatch b;
  kv::CacheEvent stored;
  stored.tokens.assign(64, 1);
  b.events.assign(70'000, stored);
  const std::string packed = kv_events_vllm(b, 64);
  EXPECT_EQ(packed.substr(10, 5), std::string("\xdd\x00\x01\x11\x70", 5));
  EXPECT_NE(packed.find(std::string("\xdc\x00\x40\x01", 4)), std::string::npos);
}

}  // namespace
}  // namespace weir::server
