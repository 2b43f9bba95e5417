#include "gateway/discover/endpoint_slices.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxSlices = 1'000;
constexpr size_t kMaxPerSlice = 1'000;  // Kubernetes' own bound
constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxVersionBytes = 128;
constexpr size_t kMaxZoneBytes = 63;
constexpr int64_t kTooOld = 410;

Result<Json> parse(std::string_view text) {
  if (text.size() > kMaxSlicesBytes)
    return make_error(ErrorCode::kLimit, "the API's answer is more than {} bytes", kMaxSlicesBytes);
  text::JsonLimits limits;
  limits.max_depth = 32;
  limits.max_values = 2'000'000;
  return Json::parse(text, limits);
}

// A text of the object; "" when it is none or too long.
std::string text_of(const Json& object, std::string_view key, size_t most) {
  const Json* found = object.find(key);
  if (found == nullptr || !found->is_string() || found->as_string().size() > most) return "";
  return found->as_string();
}

// Of the object's metadata.
std::string meta(const Json& object, std::string_view key, size_t most) {
  const Json* metadata = object.find("metadata");
  return metadata == nullptr ? "" : text_of(*metadata, key, most);
}

// Absent is as null: not known.
bool flag(const Json* conditions, std::string_view key, bool unknown) {
  const Json* found = conditions == nullptr ? nullptr : conditions->find(key);
  return found == nullptr || !found->is_bool() ? unknown : found->as_bool();
}

// Only what an address is made of: it becomes part of a URL.
bool is_address(std::string_view text, bool v4) {
  const std::string_view digits = v4 ? "0123456789." : "0123456789abcdefABCDEF:.";
  return !text.empty() && text.size() <= 45 &&
         text.find_first_not_of(digits) == std::string_view::npos &&
         (text.find(':') == std::string_view::npos) == v4;
}

}  // namespace

uint16_t EndpointSlices::port_of(const Json& slice) const {
  uint16_t number = 0;
  const std::string& wanted = config_.port;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  if (!wanted.empty() && error == std::errc() && end == wanted.data() + wanted.size())
    return number;
  const Json* ports = slice.find("ports");
  if (ports == nullptr || !ports->is_array()) return 0;
  for (const Json& p : ports->items()) {
    const Json* value = p.find("port");
    if (value == nullptr || !value->is_int() || value->as_int() < 1 || value->as_int() > 65535)
      continue;
    if (wanted.empty() || text_of(p, "name", kMaxNameBytes) == wanted)
      return static_cast<uint16_t>(value->as_int());
  }
  return 0;
}

Status EndpointSlices::put(const Json& object, std::map<std::string, Slice>& into) const {
  const std::string name = meta(object, "name", kMaxNameBytes);
  if (name.empty()) return make_error(ErrorCode::kCorrupt, "an EndpointSlice without a name");
  const std::string type = text_of(object, "addressType", kMaxNameBytes);
  Slice slice;
  slice.v4 = type == "IPv4";
  const Json* endpoints = object.find("endpoints");
  const uint16_t port = port_of(object);
  const bool usable = (slice.v4 || type == "IPv6") && port != 0;
  if (usable && endpoints != nullptr && endpoints->is_array()) {
    if (endpoints->size() > kMaxPerSlice)
      return make_error(ErrorCode::kLimit, "the EndpointSlice {} has more than {} endpoints", name,
                        kMaxPerSlice);
    for (const Json& e : endpoints->items()) {
      const Json* addresses = e.find("addresses");
      if (addresses == nullptr || !addresses->is_array() || addresses->size() == 0) continue;
      const Json& first = addresses->items().front();  // all of them mean the same pod
      if (!first.is_string() || !is_address(first.as_string(), slice.v4)) continue;
      const Json* conditions = e.find("conditions");
      const bool terminating = flag(conditions, "terminating", false);
      const bool ready = flag(conditions, "ready", true);
      slice.entries.push_back({first.as_string(), text_of(e, "zone", kMaxZoneBytes), port,
                               ready && !terminating,
                               terminating && flag(conditions, "serving", ready)});
    }
  }
  into.insert_or_assign(name, std::move(slice));
  if (into.size() > kMaxSlices)
    return make_error(ErrorCode::kLimit, "the service has more than {} EndpointSlices", kMaxSlices);
  return {};
}

Status EndpointSlices::replace(std::string_view list) {
  WEIR_ASSIGN(const Json body, parse(list));
  const Json* items = body.find("items");
  if (items == nullptr || !items->is_array())
    return make_error(ErrorCode::kCorrupt, "the API's answer is no list of EndpointSlices");
  std::map<std::string, Slice> next;
  for (const Json& item : items->items()) WEIR_TRY(put(item, next));
  slices_ = std::move(next);
  version_ = meta(body, "resourceVersion", kMaxVersionBytes);
  return {};
}

Result<EndpointSlices::Event> EndpointSlices::apply(std::string_view line) {
  WEIR_ASSIGN(const Json event, parse(line));
  const std::string type = text_of(event, "type", 16);
  const Json* object = event.find("object");
  if (object == nullptr || !object->is_object())
    return make_error(ErrorCode::kCorrupt, "an event of the watch without an object");
  if (type == "ERROR") {
    const Json* code = object->find("code");
    if (code != nullptr && code->is_int() && code->as_int() == kTooOld) return Event::kGone;
    return make_error(ErrorCode::kServerOverloaded, "the API ends the watch: {}",
                      text_of(*object, "message", 500));
  }
  const bool slice = type == "ADDED" || type == "MODIFIED" || type == "DELETED";
  if (!slice && type != "BOOKMARK")
    return make_error(ErrorCode::kCorrupt, "an event of the watch of type \"{}\"", type);
  Event what = Event::kSame;
  if (type == "DELETED") {
    if (slices_.erase(meta(*object, "name", kMaxNameBytes)) > 0) what = Event::kChanged;
  } else if (slice) {
    WEIR_TRY(put(*object, slices_));
    what = Event::kChanged;
  }
  const std::string version = meta(*object, "resourceVersion", kMaxVersionBytes);
  if (!version.empty()) version_ = version;
  return what;
}

std::vector<EndpointConfig> EndpointSlices::endpoints() const {
  for (const bool leaving : {false, true}) {
    for (const bool v4 : {true, false}) {
      std::map<std::string, const Entry*> found;  // by URL: a pod may stand in two slices
      for (const auto& [name, slice] : slices_) {
        if (slice.v4 != v4) continue;
        for (const Entry& e : slice.entries) {
          if (!(leaving ? e.leaving : e.ready)) continue;
          found.emplace(fmt::format("{}://{}{}{}:{}{}", config_.scheme, v4 ? "" : "[", e.address,
                                    v4 ? "" : "]", e.port, config_.path),
                        &e);
        }
      }
      std::vector<EndpointConfig> out;
      for (const auto& [url, entry] : found) {
        auto to = http::parse_http_or_https_url(url);
        if (!to.ok()) continue;
        EndpointConfig& e = out.emplace_back();
        e.url = url;
        e.to = std::move(*to);
        e.region = config_.region;
        e.zone = entry->zone;
      }
      if (!out.empty()) return out;
    }
  }
  return {};
}

}  // namespace weir::gateway
