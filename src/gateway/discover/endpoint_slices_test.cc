#include "gateway/discover/endpoint_slices.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

// As the API answers (kubectl get --raw), shortened to what is read and some of what is not.
std::string slice(const std::string& name, const std::string& endpoints, const std::string& version,
                  const std::string& type = "IPv4") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"prod","resourceVersion":")" +
         version + R"(","labels":{"kubernetes.io/service-name":"vllm"}},"addressType":")" + type +
         R"(","ports":[{"name":"metrics","port":9090,"protocol":"TCP"},{"name":"http","port":8000}],)" +
         R"("endpoints":[)" + endpoints + "]}";
}
std::string pod(const std::string& address, const std::string& conditions = R"("ready":true)") {
  return R"({"addresses":[")" + address + R"("],"conditions":{)" + conditions +
         R"(},"nodeName":"n","zone":"z1","targetRef":{"kind":"Pod","name":"p"}})";
}
std::string list(const std::string& items, const std::string& version = "7") {
  return R"({"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":")" +
         version + R"("},"items":[)" + items + "]}";
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

std::vector<std::string> urls(const EndpointSlices& slices) {
  std::vector<std::string> out;
  for (const EndpointConfig& e : slices.endpoints()) out.push_back(e.url);
  return out;
}

using Urls = std::vector<std::string>;
using Event = EndpointSlices::Event;

KubernetesConfig http_port() {
  KubernetesConfig c;
  c.port = "http";
  return c;
}

TEST(EndpointSlicesTest, AListThenEvents) {
  EndpointSlices s(http_port());
  ASSERT_TRUE(s.replace(list(slice("a", pod("10.0.0.2") + "," + pod("10.0.0.1"), "5"))).ok());
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.1:8000", "http://10.0.0.2:8000"}));
  EXPECT_EQ(s.endpoints()[0].zone, "z1");
  EXPECT_EQ(s.version(), "7");
  EXPECT_EQ(*s.apply(event("ADDED", slice("b", pod("10.0.0.3"), "8"))), Event::kChanged);
  EXPECT_EQ(*s.apply(event("MODIFIED", slice("a", pod("10.0.0.1"), "9"))), Event::kChanged);
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.1:8000", "http://10.0.0.3:8000"}));
  EXPECT_EQ(*s.apply(event("BOOKMARK", R"({"metadata":{"resourceVersion":"12"}})")), Event::kSame);
  EXPECT_EQ(s.version(), "12");
  EXPECT_EQ(*s.apply(event("DELETED", slice("a", "", "13"))), Event::kChanged);
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.3:8000"}));
  ASSERT_TRUE(s.replace(list("", "20")).ok());
  EXPECT_TRUE(urls(s).empty());
}

TEST(EndpointSlicesTest, ReadyServingAndTerminating) {
  EndpointSlices s(http_port());
  const std::string not_ready = pod("10.0.0.1", R"("ready":false,"serving":false)");
  const std::string leaving = pod("10.0.0.2", R"("ready":false,"serving":true,"terminating":true)");
  const std::string unknown = pod("10.0.0.3", R"("ready":null)");
  const std::string both = pod("10.0.0.4", R"("ready":true,"terminating":true)");
  ASSERT_TRUE(
      s.replace(list(slice("a", not_ready + "," + leaving + "," + unknown + "," + both, "1")))
          .ok());
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.3:8000"})) << "not known counts as ready";
  ASSERT_TRUE(s.replace(list(slice("a", not_ready + "," + leaving, "2"))).ok());
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.2:8000"})) << "better than nobody";
  ASSERT_TRUE(s.replace(list(slice("a", not_ready, "3"))).ok());
  EXPECT_TRUE(urls(s).empty());
}

TEST(EndpointSlicesTest, PortsFamiliesAndPods) {
  KubernetesConfig c;
  const std::string both_families =
      slice("six", pod("fd00::1"), "2", "IPv6") + "," + slice("four", pod("10.0.0.1"), "2") + "," +
      slice("again", pod("10.0.0.1"), "2") + "," + slice("names", pod("pod.example"), "2", "FQDN");
  EndpointSlices first(c);
  ASSERT_TRUE(first.replace(list(both_families)).ok());
  EXPECT_EQ(urls(first), (Urls{"http://10.0.0.1:9090"}));
  c.port = "8080";
  c.scheme = "https";
  c.path = "/base";
  EndpointSlices number(c);
  ASSERT_TRUE(number.replace(list(slice("six", pod("fd00::1"), "2", "IPv6"))).ok());
  EXPECT_EQ(urls(number), (Urls{"https://[fd00::1]:8080/base"}));
  EXPECT_TRUE(number.endpoints()[0].to.tls);
  c.port = "grpc";
  EndpointSlices missing(c);
  ASSERT_TRUE(missing.replace(list(both_families)).ok());
  EXPECT_TRUE(urls(missing).empty());
}

TEST(EndpointSlicesTest, AnOldVersionAndOtherErrors) {
  EndpointSlices s(http_port());
  ASSERT_TRUE(s.replace(list(slice("a", pod("10.0.0.1"), "5"))).ok());
  const std::string gone = R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})";
  EXPECT_EQ(*s.apply(event("ERROR", gone)), Event::kGone);
  const auto other = s.apply(event("ERROR", R"({"kind":"Status","code":500,"message":"etcd"})"));
  EXPECT_NE(other.error().message.find("etcd"), std::string::npos);
  EXPECT_FALSE(s.apply(event("NEWS", "{}")).ok());
  EXPECT_FALSE(s.apply("{}").ok());
  EXPECT_FALSE(s.apply("").ok());
  EXPECT_FALSE(s.apply(event("ADDED", R"({"metadata":{}})")).ok());
  EXPECT_FALSE(s.replace(R"({"kind":"Status","code":403})").ok());
  EXPECT_EQ(s.replace(std::string(kMaxSlicesBytes + 1, ' ')).error().code, ErrorCode::kLimit);
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.1:8000"})) << "a bad answer changes nothing";
}

// What stands where an address should is no way to another host.
TEST(EndpointSlicesTest, AddressesAreAddresses) {
  EndpointSlices s(http_port());
  std::string pods = pod("10.0.0.1");
  for (const std::string bad :
       {"evil.example", "10.0.0.2/x", "10.0.0.2:80", "a@10.0.0.2", "", "::1"})
    pods += "," + pod(bad);
  pods += R"(,{"addresses":[]},{"addresses":[7]},{"addresses":"10.0.0.9"},{},7)";
  ASSERT_TRUE(s.replace(list(slice("a", pods, "5"))).ok());
  EXPECT_EQ(urls(s), (Urls{"http://10.0.0.1:8000"}));
}

TEST(EndpointSlicesTest, CutAtEveryByte) {
  const std::string whole = list(slice("a", pod("10.0.0.1"), "5"));
  const std::string added = event("ADDED", slice("b", pod("10.0.0.2"), "6"));
  EndpointSlices s(http_port());
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(s.replace(std::string_view(whole).substr(0, n)).ok()) << n;
  for (size_t n = 0; n < added.size(); ++n)
    EXPECT_FALSE(s.apply(std::string_view(added).substr(0, n)).ok()) << n;
  EXPECT_TRUE(urls(s).empty());
}

}  // namespace
}  // namespace weir::gateway
