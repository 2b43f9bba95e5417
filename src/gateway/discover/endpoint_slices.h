// A Service's EndpointSlices, as Kubernetes' API lists and watches them (discovery.k8s.io/v1,
// kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1). Pure: answers
// come in, endpoints come out. The text is taken for hostile: it is bounded, and addresses are
// addresses. One thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"
#include "text/json.h"

namespace weir::gateway {

// Of a whole list, and of one event of a watch.
inline constexpr size_t kMaxSlicesBytes = 16 << 20;

class EndpointSlices {
 public:
  // Which port, scheme and path the endpoints get.
  explicit EndpointSlices(KubernetesConfig config) : config_(std::move(config)) {}

  // A list's answer, in place of all that is known. Errors: kInvalidJson, kCorrupt, kLimit; nothing
  // is changed then.
  Status replace(std::string_view list);

  enum class Event {
    kChanged,
    kSame,  // a bookmark, or something that is no slice
    kGone,  // the version that was asked for is too old (410): list again
  };
  // One line of a watch. Errors as above, and kServerOverloaded with what the API says of itself.
  Result<Event> apply(std::string_view line);

  // From which a watch goes on; "": none.
  const std::string& version() const { return version_; }

  // Those that take requests, sorted by address, each once: ready ones, and when there are none
  // those that are going away and still serve. Of a service with two families the IPv4 addresses.
  std::vector<EndpointConfig> endpoints() const;
  size_t slices() const { return slices_.size(); }

 private:
  struct Entry {
    std::string address;
    std::string zone;
    uint16_t port = 0;
    bool ready = false;
    bool leaving = false;  // terminating, but serving
  };
  struct Slice {
    bool v4 = true;
    std::vector<Entry> entries;
  };
  Status put(const text::Json& object, std::map<std::string, Slice>& into) const;
  uint16_t port_of(const text::Json& slice) const;

  KubernetesConfig config_;
  std::map<std::string, Slice> slices_;  // by name
  std::string version_;
};

}  // namespace weir::gateway
