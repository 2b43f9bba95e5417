// Plain HTTP messages: no I/O, no outside headers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::http {

// Header fields in order of arrival; names compare without regard to case.
class Headers {
 public:
  struct Field {
    std::string name;
    std::string value;
  };
  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  // The value of the first field of that name.
  std::optional<std::string_view> find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name).has_value(); }
  // True when a comma-separated list field of that name (in any of its lines) holds the token.
  bool has_token(std::string_view name, std::string_view token) const;
  void add(std::string_view name, std::string_view value);
  // Replaces all fields of that name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  const std::vector<Field>& all() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

struct Request {
  std::string method;  // as sent: "GET"
  std::string target;  // as sent: "/v1/models?x=1"
  std::string path;    // target up to '?', not percent-decoded; of an absolute target only its path
  std::string query;   // after '?', without it
  int version = 11;    // 10 or 11
  Headers headers;     // trailers are dropped
  std::string body;    // decoded from chunks if it came in chunks
  std::string remote;  // "127.0.0.1:51234"
  std::string request_id;   // from x-request-id if it was acceptable, else new
  int64_t received_ns = 0;  // Clock::now_ns() when the last byte had arrived
  bool websocket = false;   // a valid handshake; its handler may answer 101
  std::vector<std::pair<std::string, std::string>> params;  // filled by the router, percent-decoded

  // The value of a {name} of the route, "" if it has none.
  std::string_view param(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Date, Connection, x-request-id are added by the server
  std::string body;
};

// "application/json" response.
Response json_response(int status, std::string body);

// "OK", "Not Found"; "Unknown" for a status without a name.
std::string_view reason_phrase(int status);

bool iequals(std::string_view a, std::string_view b);

// RFC 3986 percent-decoding; nullopt for a broken escape. '+' stays.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace weir::http
