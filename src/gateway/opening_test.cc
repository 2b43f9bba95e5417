// What a gateway says of the files that it opens with.
#include "gateway/opening.h"

#include <gtest/gtest.h>

#include "http/tls_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

class OpeningTest : public testing::Test {
 protected:
  OpeningTest() {
    http::write_identity(http::make_identity("door", -60, 3600), path("door.pem"),
                         path("door.key"));
    http::write_identity(http::make_identity("other", -60, 3600), path("other.pem"),
                         path("other.key"));
    EXPECT_TRUE(os::write_file_atomic(path("text"), std::string_view("hello\n")).ok());
  }
  std::string path(const std::string& name) const { return dir_.path() + "/" + name; }
  std::string said(const std::string& certificate, const std::string& key,
                   const std::string& client_ca = "") const {
    GatewayConfig config;
    config.tls = {certificate, key, client_ca};
    return problems_of(config);
  }
  // Of a configuration of no file, without that.
  static std::string problems_of(const GatewayConfig& config) {
    config::Problems problems("g.yaml");
    (void)check_opening(config, problems);
    return problems.empty() ? "" : problems.error().message.substr(std::string("g.yaml: ").size());
  }

  const os::TempDir dir_;
};

TEST_F(OpeningTest, TlsErrorsNameTheKeyTheFileAndTheReason) {
  EXPECT_EQ(said(path("door.pem"), path("door.key")), "");
  EXPECT_EQ(
      said(path("no.pem"), path("door.key")),
      "listen.tls_certificate: cannot read " + path("no.pem") + ": No such file or directory");
  EXPECT_EQ(
      said(path("text"), path("door.key")),
      "listen.tls_certificate: " + path("text") + " holds no certificate in PEM: no start line");
  EXPECT_EQ(said(path("door.pem"), path("text"))
                .find("listen.tls_key: " + path("text") +
                      " holds no private key in PEM without a password: "),
            0U);
  EXPECT_EQ(
      said(path("door.pem"), path("other.key")),
      "listen.tls_key: the key in " + path("other.key") + " is not that of " + path("door.pem"));
  EXPECT_EQ(said(path("door.pem"), path("door.key"), path("text")).find("listen.tls_client_ca: "),
            0U);
  EXPECT_EQ(said("", path("door.key")),
            "TLS needs both listen.tls_certificate and listen.tls_key; listen.tls_certificate is "
            "missing");
  EXPECT_NE(said("", "", path("door.pem")), "") << "authorities of clients without TLS do nothing";
}

TEST_F(OpeningTest, ErrorsOfFilesInTheWorkingDirectorySaySo) {
  const std::string there = path("not/text");
  GatewayConfig keys;
  keys.keys_file = there;
  keys.files = {{"keys_file", path("text"), there, 0}};
  GatewayConfig certificate;
  certificate.tls = {there, path("door.key"), ""};
  certificate.files = {{"listen.tls_certificate", path("text"), there, 0}};
  GatewayConfig authorities;
  authorities.upstreams.emplace_back().endpoints.emplace_back().to.tls = true;
  authorities.upstreams[0].ca_file = there;
  authorities.files = {{"upstreams.a.ca_file", path("text"), there, 0}};
  for (const GatewayConfig* config : {&keys, &certificate, &authorities}) {
    const std::string& key = config->files[0].key;
    const std::string hint = "; " + key + ": " + there + " is not there, and " + path("text") +
                             " is, in the folder where this was started: ";
    EXPECT_NE(problems_of(*config).find(hint), std::string::npos)
        << key << ": " << problems_of(*config);
  }
}

TEST_F(OpeningTest, TlsErrorsNameTheUpstream) {
  GatewayConfig config;
  UpstreamConfig u;
  u.name = "hosted";
  u.endpoints.emplace_back().to.tls = true;
  u.ca_file = path("text");
  config.upstreams.push_back(u);
  EXPECT_EQ(problems_of(config).find("upstreams.hosted.ca_file: the CA file: " + path("text")), 0U)
      << problems_of(config);
}

}  // namespace
}  // namespace weir::gateway
