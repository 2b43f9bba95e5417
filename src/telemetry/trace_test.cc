// The rings, and that what is drawn from them keeps the rules of the Trace Event Format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <thread>

#include "telemetry/chrome_trace.h"
#include "telemetry/trace_ring.h"

namespace weir::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kMs = 1'000'000;

StepTrace step(int64_t start_ms, int64_t ms, int32_t prefill = 0, int32_t decode = 1) {
  StepTrace s;
  s.start_ns = start_ms * kMs;
  s.end_ns = (start_ms + ms) * kMs;
  s.phase_ns = {kMs / 10, kMs / 10, ms * kMs - kMs / 2, kMs / 5, kMs / 10};
  s.sequences = 1;
  s.prefill_tokens = prefill;
  s.decode_tokens = decode;
  return s;
}

RequestTrace request(uint64_t id, int64_t submitted_ms, int64_t started_ms, int64_t first_ms,
                     int64_t last_ms, int64_t ended_ms) {
  RequestTrace r;
  r.request = id;
  r.request_id = "req-" + std::to_string(id);
  r.submitted_ns = submitted_ms * kMs;
  r.started_ns = started_ms * kMs;
  r.first_token_ns = first_ms * kMs;
  r.last_token_ns = last_ms * kMs;
  r.ended_ns = ended_ms * kMs;
  r.outcome = "stop";
  return r;
}

TEST(TraceRing, KeepsTheNewestAndTheirParts) {
  TraceRing ring(4, 6, 2);
  for (uint64_t i = 0; i < 10; ++i) {
    const std::vector<PartTrace> parts = {{i, 1, false}, {i + 100, 2, true}};
    ring.add_step(step(static_cast<int64_t>(i) * 10, 5), parts);
    ring.add_request(request(i, 0, 0, 0, 0, static_cast<int64_t>(i) * 10));
  }
  const TraceSnapshot all = ring.since(0);
  ASSERT_EQ(all.steps.size(), 4U);
  EXPECT_EQ(all.steps.front().start_ns, 60 * kMs);
  EXPECT_EQ(all.steps[0].parts, 0U) << "their place was taken";
  ASSERT_EQ(all.steps[3].parts, 2U);
  EXPECT_EQ(all.parts[all.steps[3].first_part].request, 9U);
  EXPECT_EQ(all.parts[all.steps[1].first_part + 1].request, 107U);
  ASSERT_EQ(all.requests.size(), 2U);
  EXPECT_EQ(all.requests[0].request, 8U);
  EXPECT_EQ(ring.since(90 * kMs).steps.size(), 1U);
  EXPECT_TRUE(ring.since(96 * kMs).steps.empty());
}

TEST(TraceRing, AReaderBesideTheWriter) {
  TraceRing ring(1000, 3000, 10);
  std::thread writer([&] {
    for (uint64_t i = 0; i < 20'000; ++i) {
      const std::vector<PartTrace> parts(3, PartTrace{i, 1, false});
      ring.add_step(step(static_cast<int64_t>(i), 1), parts);
    }
  });
  for (int n = 0; n < 50; ++n) {
    const TraceSnapshot s = ring.since(0);
    for (size_t i = 0; i < s.steps.size(); ++i) {
      if (i > 0) {
        EXPECT_EQ(s.steps[i].start_ns, s.steps[i - 1].start_ns + kMs);
      }
      for (uint64_t p = 0; p < s.steps[i].parts; ++p)
        EXPECT_EQ(static_cast<int64_t>(s.parts[s.steps[i].first_part + p].request) * kMs,
                  s.steps[i].start_ns);
    }
  }
  writer.join();
}

// Events of a trace, read by a pattern: the writer puts their keys in a fixed order.
struct Event {
  std::string name;
  char phase = 0;
  int pid = 0;
  int tid = 0;
  double ts = 0;
  double dur = 0;
};

std::vector<Event> events_of(const std::string& trace) {
  static const std::regex kEvent(
      R"re(\{"name":"([^"]*)","ph":"(.)","pid":(\d+),"tid":(\d+),"ts":(-?[0-9.]+)(,"dur":([0-9.]+))?)re");
  std::vector<Event> events;
  for (auto it = std::sregex_iterator(trace.begin(), trace.end(), kEvent);
       it != std::sregex_iterator(); ++it) {
    const std::smatch& m = *it;
    events.push_back({m[1], m[2].str()[0], std::stoi(m[3]), std::stoi(m[4]), std::stod(m[5]),
                      m[7].matched ? std::stod(m[7]) : 0});
  }
  return events;
}

// Complete slices of one track lie inside each other or apart, and start at or after the picture's
// beginning.
void check_nesting(const std::vector<Event>& events, double from_us) {
  std::map<std::pair<int, int>, std::vector<Event>> tracks;
  for (const Event& e : events) {
    if (e.phase == 'X') tracks[{e.pid, e.tid}].push_back(e);
  }
  for (const auto& [track, slices] : tracks) {
    for (size_t i = 0; i < slices.size(); ++i) {
      const Event& a = slices[i];
      EXPECT_GE(a.ts, from_us) << a.name;
      for (size_t k = 0; k < i; ++k) {
        const Event& b = slices[k];
        const bool apart = a.ts >= b.ts + b.dur - 1e-6 || b.ts >= a.ts + a.dur - 1e-6;
        const auto within = [](const Event& in, const Event& out) {
          return in.ts >= out.ts - 1e-6 && in.ts + in.dur <= out.ts + out.dur + 1e-6;
        };
        EXPECT_TRUE(apart || within(a, b) || within(b, a))
            << b.name << " and " << a.name << " overlap on " << track.first << "/" << track.second
            << ": " << b.ts << "+" << b.dur << ", " << a.ts << "+" << a.dur;
      }
    }
  }
}

TraceSnapshot busy_snapshot() {
  TraceRing ring;
  for (int64_t i = 0; i < 20; ++i) {
    std::vector<PartTrace> parts = {{1, 1, false}};
    if (i < 4) parts[0] = {1, 64, true};
    if (i >= 2) parts.push_back({2, i < 6 ? 64 : 1, i < 6});
    if (i == 15) parts.push_back({1, 80, true});  // computed again after a preemption
    if (i >= 10) parts.push_back({7, 1, false});  // runs still
    ring.add_step(step(100 + i * 10, 9, 64, 1), parts);
  }
  ring.add_request(request(1, 95, 100, 138, 262, 299));
  ring.add_request(request(2, 101, 120, 165, 290, 299));
  ring.add_request(request(3, 150, 0, 0, 0, 180));  // never ran
  return ring.since(0);
}

TEST(ChromeTrace, SlicesNestAndKindsAreThere) {
  for (const int64_t from_ms : {0, 150}) {
    const std::string trace = chrome_trace(busy_snapshot(), from_ms * kMs, 310 * kMs);
    const std::vector<Event> events = events_of(trace);
    check_nesting(events, static_cast<double>(from_ms) * 1e3);
    std::map<std::string, int> count;
    for (const Event& e : events) {
      ++count[std::string(1, e.phase) + " " + e.name];
      EXPECT_THAT("XMC", HasSubstr(std::string(1, e.phase)));
    }
    EXPECT_EQ(count["X step"], 20);
    EXPECT_GE(count["X forward"], 15);
    EXPECT_EQ(count["C batch tokens"], 20);
    EXPECT_EQ(count["C kv pages used"], 20);
    EXPECT_EQ(count["X request 1"], 1);
    EXPECT_EQ(count["X request 7"], 1);
    EXPECT_GE(count["X prefill"], 1);
    EXPECT_EQ(count["X decode"], 2);
    EXPECT_EQ(count["M process_name"], 2);
    EXPECT_GE(count["M thread_name"], 3) << "requests that overlap need two tracks";
  }
}

TEST(ChromeTrace, PhasesAddUpToTheirStep) {
  TraceRing ring;
  ring.add_step(step(100, 10), {});
  const std::vector<Event> events = events_of(chrome_trace(ring.since(0), 0, 200 * kMs));
  double sum = 0;
  for (const Event& e : events) {
    if (e.phase == 'X' && e.name != "step") sum += e.dur;
  }
  EXPECT_DOUBLE_EQ(sum, 10'000.0);
}

TEST(ChromeTrace, AClientsIdCannotBreakOut) {
  TraceRing ring;
  RequestTrace r = request(1, 1, 2, 3, 4, 5);
  r.request_id = "a\"}],\n\xff";
  ring.add_request(r);
  const std::string trace = chrome_trace(ring.since(0), 0, 10 * kMs);
  EXPECT_THAT(trace, HasSubstr("\"request_id\":\"a\\\"}],\\u000a\xEF\xBF\xBD\""));
  EXPECT_THAT(trace, Not(HasSubstr("\xff")));
}

TEST(ChromeTrace, NothingIsATraceToo) { EXPECT_EQ(events_of(chrome_trace({}, 0, 0)).size(), 3U); }

}  // namespace
}  // namespace weir::telemetry
