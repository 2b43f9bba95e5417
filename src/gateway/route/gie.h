// The endpoint picker protocol of the Gateway API Inference Extension, as the data plane sees it:
// a picker in front names the endpoints for a request in x-gateway-destination-endpoint,
// "ip:port" or "ip:port,ip:port,...", to be tried in that order; or it restricts the choice in
// x-gateway-destination-endpoint-subset. Source: gateway-api-inference-extension, docs/proposals/
// 004-endpoint-picker-protocol, v1.0.0.
//
// A header never makes the gateway connect anywhere: addresses are looked up among the configured
// endpoints, and what is not there is passed over. Who may send these headers is for the caller to
// decide; from anybody else they are stripped like any hop header.
//
// Pure; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::gateway {

inline constexpr std::string_view kDestinationHeader = "x-gateway-destination-endpoint";
inline constexpr std::string_view kDestinationSubsetHeader =
    "x-gateway-destination-endpoint-subset";
// In responses: the endpoint that answered.
inline constexpr std::string_view kDestinationServedHeader =
    "x-gateway-destination-endpoint-served";

// IPv4 is kept as its mapped IPv6 address (RFC 4291 section 2.5.5.2): both spellings are one.
struct IpPort {
  std::array<uint8_t, 16> ip{};
  uint16_t port = 0;

  // "10.0.0.5:8080" or "[2001:db8::1]:80"; names, zones, signs and leading zeros are refused.
  static std::optional<IpPort> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const IpPort&) const =
      default;  // NOLINT(modernize-use-nullptr): misread by clang-tidy 14
};

class Destinations {
 public:
  static constexpr size_t kMaxBytes = 4096;  // of a header
  static constexpr size_t kMaxNamed = 64;    // endpoints in a header

  // The endpoint with that index is at this address, besides those told before.
  void add(const IpPort& address, uint32_t endpoint);
  void clear() { endpoints_.clear(); }

  // Indexes of the configured endpoints that the value names, in its order, each once. Errors:
  // kInvalidValue when part of it is no ip:port, or when none of it is configured; kLimit beyond
  // the bounds.
  Result<std::vector<uint32_t>> parse(std::string_view value) const;

 private:
  std::multimap<IpPort, uint32_t> endpoints_;
};

}  // namespace weir::gateway
