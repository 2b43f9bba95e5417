// Which addresses cache events may be published at.
#include "server/kv_event_publisher.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

std::string error_of(KvEventAddresses a) {
  const Status ok = check_addresses(a);
  return ok.ok() ? "" : ok.error().message;
}

TEST(KvEventAddresses, OfThisMachineAreTaken) {
  for (const char* good : {"", "tcp://127.0.0.1:5557", "tcp://localhost:5557", "tcp://[::1]:5557",
                           "tcp://127.0.0.1:*", "ipc:///run/weir/events"})
    EXPECT_EQ(error_of({good, "", "", false}), "");
  EXPECT_EQ(error_of({"tcp://127.0.0.1:5557", "tcp://127.0.0.1:5558", "kv@", false}), "");
}

TEST(KvEventAddresses, ThatOthersReachAreTakenOnlyWhenAllowed) {
  for (const char* open : {"tcp://*:5557", "tcp://0.0.0.0:5557", "tcp://[::]:5557",
                           "tcp://eth0:5557", "tcp://10.0.0.1:5557"}) {
    EXPECT_NE(error_of({open, "", "", false}).find("kv.events_zmq is \"tcp://"), std::string::npos);
    EXPECT_NE(error_of({open, "", "", false}).find("--kv-events-remote"), std::string::npos);
    EXPECT_EQ(error_of({open, "", "", true}), "");
    EXPECT_NE(error_of({"tcp://127.0.0.1:1", open, "", false}).find("kv.events_zmq_replay is"),
              std::string::npos);
  }
}

TEST(KvEventAddresses, MustBeAddresses) {
  for (const char* bad :
       {"5557", "127.0.0.1:5557", "http://127.0.0.1:5557", "tcp://", "tcp://:5557",
        "tcp://127.0.0.1", "tcp://127.0.0.1:", "inproc://x", "ipc://"})
    EXPECT_NE(error_of({bad, "", "", true}).find("must be tcp://HOST:PORT"), std::string::npos)
        << bad;
  EXPECT_NE(error_of({"", "tcp://127.0.0.1:5558", "", false}).find("--kv-events-zmq"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::server
