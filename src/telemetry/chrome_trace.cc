#include "telemetry/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "telemetry/json_writer.h"

namespace weir::telemetry {
namespace {

constexpr int kEngineProcess = 1;
constexpr int kRequestsProcess = 2;
constexpr size_t kMaxNamedRequests = 32;  // in the arguments of a step

// A request as it is drawn; of one that runs still only what the steps tell.
struct Drawn {
  RequestTrace trace;
  bool open = false;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  size_t track = 0;
  std::vector<std::pair<const StepTrace*, int32_t>> chunks;  // of its prompt, with their tokens
};

class Builder {
 public:
  Builder(const TraceSnapshot& snapshot, int64_t from_ns, int64_t now_ns)
      : snapshot_(snapshot), from_ns_(from_ns), now_ns_(now_ns) {}

  std::string build() {
    w_.begin_object().key("displayTimeUnit").value("ms").key("traceEvents").begin_array();
    name(kEngineProcess, 0, "process_name", "engine");
    name(kEngineProcess, 1, "thread_name", "steps");
    for (const StepTrace& s : snapshot_.steps) step(s);
    name(kRequestsProcess, 0, "process_name", "requests");
    std::vector<Drawn> requests = collect();
    const size_t tracks = assign_tracks(requests);
    for (size_t t = 0; t < tracks; ++t)
      name(kRequestsProcess, static_cast<int>(t) + 1, "thread_name",
           fmt::format("requests {}", t + 1));
    for (const Drawn& r : requests) request(r);
    w_.end_array().end_object();
    return w_.take();
  }

 private:
  void begin_event(std::string_view name, std::string_view phase, int pid, int tid, int64_t at_ns) {
    w_.begin_object().key("name").value(name).key("ph").value(phase);
    w_.key("pid").value(pid).key("tid").value(tid).key("ts").micros(at_ns);
  }
  void name(int pid, int tid, std::string_view what, std::string_view text) {
    begin_event(what, "M", pid, tid, 0);
    w_.key("args").begin_object().key("name").value(text).end_object().end_object();
  }
  // Leaves the arguments open: end_slice() closes them. Times are cut to the picture.
  void begin_slice(std::string_view name, int pid, int tid, int64_t from_ns, int64_t to_ns) {
    const int64_t from = std::max(from_ns, from_ns_);
    begin_event(name, "X", pid, tid, from);
    w_.key("dur").micros(std::max<int64_t>(0, to_ns - from)).key("args").begin_object();
  }
  void end_slice() { w_.end_object().end_object(); }
  void counter(std::string_view name, int64_t at_ns,
               std::initializer_list<std::pair<std::string_view, int64_t>> series) {
    begin_event(name, "C", kEngineProcess, 0, at_ns);
    w_.key("args").begin_object();
    for (const auto& [key, value] : series) w_.key(key).value(value);
    w_.end_object().end_object();
  }

  void step(const StepTrace& s) {
    begin_slice("step", kEngineProcess, 1, s.start_ns, s.end_ns);
    w_.key("sequences").value(s.sequences).key("prefill_tokens").value(s.prefill_tokens);
    w_.key("decode_tokens").value(s.decode_tokens).key("preempted").value(s.preempted);
    w_.key("requests").begin_array();
    for (size_t i = 0; i < std::min<size_t>(s.parts, kMaxNamedRequests); ++i)
      w_.value(snapshot_.parts[s.first_part + i].request);
    w_.end_array();
    end_slice();
    int64_t at = s.start_ns;
    for (size_t p = 0; p < kTracePhases; ++p) {
      const int64_t end = std::min(at + s.phase_ns[p], s.end_ns);
      if (end > at && end > from_ns_) {
        begin_slice(kTracePhaseNames[p], kEngineProcess, 1, at, end);
        end_slice();
      }
      at = end;
    }
    const int64_t begin = std::max(s.start_ns, from_ns_);
    counter("batch tokens", begin, {{"prefill", s.prefill_tokens}, {"decode", s.decode_tokens}});
    counter("batch sequences", begin, {{"sequences", s.sequences}});
    counter("kv pages used", s.end_ns, {{"pages", s.used_pages}});
    counter("requests waiting", s.end_ns, {{"requests", s.waiting_requests}});
  }

  std::vector<Drawn> collect() const {
    std::map<uint64_t, Drawn> found;
    for (const RequestTrace& t : snapshot_.requests) {
      Drawn& d = found[t.request];
      d.trace = t;
      d.begin_ns = t.submitted_ns;
      d.end_ns = t.ended_ns;
    }
    for (const StepTrace& s : snapshot_.steps) {
      for (size_t i = 0; i < s.parts; ++i) {
        const PartTrace& part = snapshot_.parts[s.first_part + i];
        auto [it, is_new] = found.try_emplace(part.request);
        Drawn& d = it->second;
        if (is_new) {  // it has not ended yet
          d.open = true;
          d.trace.request = part.request;
          d.begin_ns = s.start_ns;
          d.end_ns = now_ns_;
        }
        if (part.prefill) d.chunks.emplace_back(&s, part.tokens);
      }
    }
    std::vector<Drawn> drawn;
    drawn.reserve(found.size());
    for (auto& [id, d] : found) drawn.push_back(std::move(d));
    std::stable_sort(drawn.begin(), drawn.end(),
                     [](const Drawn& a, const Drawn& b) { return a.begin_ns < b.begin_ns; });
    return drawn;
  }

  // The first track that is free when a request begins, so that slices of one track never overlap.
  static size_t assign_tracks(std::vector<Drawn>& requests) {
    std::vector<int64_t> free_at_ns;
    for (Drawn& r : requests) {
      const auto free = std::find_if(free_at_ns.begin(), free_at_ns.end(),
                                     [&](int64_t at) { return at <= r.begin_ns; });
      r.track = static_cast<size_t>(free - free_at_ns.begin());
      if (free == free_at_ns.end()) free_at_ns.push_back(0);
      free_at_ns[r.track] = r.end_ns;
    }
    return free_at_ns.size();
  }

  void part(const Drawn& r, std::string_view name, int64_t from_ns, int64_t to_ns) {
    if (from_ns == 0 || to_ns <= std::max(from_ns, from_ns_)) return;
    begin_slice(name, kRequestsProcess, static_cast<int>(r.track) + 1, from_ns, to_ns);
    end_slice();
  }

  void request(const Drawn& r) {
    const RequestTrace& t = r.trace;
    begin_slice(fmt::format("request {}", t.request), kRequestsProcess,
                static_cast<int>(r.track) + 1, r.begin_ns, r.end_ns);
    if (r.open) {
      w_.key("state").value("running");
    } else {
      w_.key("request_id").value(t.request_id).key("outcome").value(t.outcome);
      w_.key("prompt_tokens").value(t.prompt_tokens);
      w_.key("completion_tokens").value(t.completion_tokens);
    }
    end_slice();
    const auto or_end = [&](int64_t ns) { return ns == 0 ? r.end_ns : ns; };
    part(r, "queue", t.submitted_ns, or_end(t.started_ns));
    part(r, "prefill", t.started_ns, or_end(t.first_token_ns));
    for (const auto& [s, tokens] : r.chunks) {
      // Inside the slice around it: the first token of a chunk comes before its step ends, and
      // after a preemption a prompt is computed again while its request decodes.
      int64_t from = std::max(s->start_ns, r.open ? r.begin_ns : t.started_ns);
      const int64_t first = or_end(t.first_token_ns);
      int64_t to = std::min(s->end_ns, r.end_ns);
      to = std::min(to, from < first ? first : or_end(t.last_token_ns));
      part(r, fmt::format("chunk of {}", tokens), from, to);
    }
    part(r, "decode", t.first_token_ns, or_end(t.last_token_ns));
  }

  const TraceSnapshot& snapshot_;
  const int64_t from_ns_;
  const int64_t now_ns_;
  JsonWriter w_;
};

}  // namespace

std::string chrome_trace(const TraceSnapshot& snapshot, int64_t from_ns, int64_t now_ns) {
  return Builder(snapshot, from_ns, now_ns).build();
}

}  // namespace weir::telemetry
