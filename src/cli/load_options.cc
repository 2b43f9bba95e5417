#include "cli/load_options.h"

#include <charconv>

#include "bench/report/sweep.h"
#include "http/syntax.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using bench::Schedule;

template <typename T>
bool read_number(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

// "100" requests or "30s".
Status read_warmup(std::string_view text, Schedule& schedule) {
  if (text.empty()) return {};
  if (text.ends_with('s')) {
    text.remove_suffix(1);
    if (read_number(text, schedule.warmup_s) && schedule.warmup_s >= 0) return {};
  } else if (read_number(text, schedule.warmup_requests)) {
    return {};
  }
  return make_error(ErrorCode::kUsage,
                    "--warmup: \"{}\" is neither a number of requests (100) nor of seconds (30s)",
                    text);
}

constexpr double kMaxRate = 1e6;
constexpr int kMaxSweep = 100;

// "1,2,4" or "LOW:HIGH:STEPS".
Result<std::vector<double>> read_sweep(std::string_view text) {
  std::vector<double> rates;
  const auto ok = [](double r) { return r >= 1e-3 && r <= kMaxRate; };
  if (text.find(':') != std::string_view::npos) {
    const auto parts = split(text, ':');
    double low = 0;
    double high = 0;
    int steps = 0;
    if (parts.size() == 3 && read_number(parts[0], low) && read_number(parts[1], high) &&
        read_number(parts[2], steps) && ok(low) && ok(high) && low <= high && steps >= 1 &&
        steps <= kMaxSweep)
      return bench::sweep_loads(low, high, steps);
  } else {
    for (const std::string_view part : split(text, ',')) {
      double rate = 0;
      if (!read_number(part, rate) || !ok(rate) || rates.size() >= kMaxSweep) {
        rates.clear();
        break;
      }
      rates.push_back(rate);
    }
    if (!rates.empty()) return rates;
  }
  return make_error(
      ErrorCode::kUsage,
      "--sweep: \"{}\" is neither rates (1,2,4) nor LOW:HIGH:STEPS (0.5:8:6), at most "
      "{} of them, each from 0.001 to 1000000 a second",
      text, kMaxSweep);
}

// When nobody says otherwise, a trace is sent at its own times.
std::string arrival_of(const LoadOptions& o, bool trace) {
  if (!o.arrival.empty()) return o.arrival;
  return trace ? "trace" : "poisson";
}

// An --arrival that the rest of the command line would leave without effect. Error: kUsage.
Status check_arrival(const LoadOptions& o, bool trace, double rate) {
  if (o.arrival.empty()) return {};
  if (o.concurrency > 0) {
    return make_error(
        ErrorCode::kUsage,
        "--arrival is for --rate, --sweep and --trace; with --concurrency a user sends "
        "when its answer is there");
  }
  if (o.arrival == "trace" && !trace) {
    return make_error(ErrorCode::kUsage,
                      "--arrival trace takes the times of a trace: give --trace FILE");
  }
  if (o.arrival != "trace" && trace && rate <= 0) {
    return make_error(ErrorCode::kUsage,
                      "--arrival {} needs --rate R; without it a trace is sent at its own times",
                      o.arrival);
  }
  return {};
}

Result<Schedule> schedule_at(const LoadOptions& o, const ops::Dataset* dataset, double rate) {
  Schedule s;
  s.requests = o.requests;
  s.duration_s = o.duration_s;
  WEIR_TRY(read_warmup(o.warmup, s));
  const bool trace = dataset != nullptr && dataset->kind == ops::Dataset::Kind::kTrace;
  const std::string arrival = arrival_of(o, trace);
  WEIR_TRY(check_arrival(o, trace, rate));
  if (o.concurrency > 0) {
    s.kind = Schedule::Kind::kClosed;
    s.concurrency = o.concurrency;
  } else if (rate > 0 && arrival != "trace") {
    WEIR_ASSIGN(s.arrivals, bench::parse_arrivals(arrival, rate));
  } else if (trace) {
    s.kind = Schedule::Kind::kTrace;
    s.time_scale = 1 / o.speed;
    if (rate > 0) s.time_scale = ops::mean_rate(*dataset) / rate;
    if (rate > 0 && s.time_scale == 0)
      return make_error(ErrorCode::kUsage, "--rate: the rows of the trace all have one time");
    if (rate > 0) s.arrivals.rate_per_s = rate;
  } else {
    return make_error(ErrorCode::kUsage,
                      "say how to send: --rate R, --concurrency C, --sweep R1,R2,... or --trace "
                      "FILE");
  }
  if (s.requests == 0 && s.duration_s <= 0 && dataset != nullptr) {
    s.requests = dataset->rows.size();
    s.requests -= std::min(s.requests - 1, s.warmup_requests);
  }
  WEIR_TRY(bench::check_schedule(s, dataset));
  return s;
}

}  // namespace

Result<bench::Target> load_target(const LoadOptions& o) {
  bench::Target t;
  WEIR_ASSIGN(t.url, http::parse_url(o.url));
  if (t.url.path.ends_with("/v1")) t.url.path.resize(t.url.path.size() - 3);
  if (!o.yes_remote && !http::is_loopback(t.url.host)) {
    return make_error(ErrorCode::kUsage,
                      "{} is not this machine: a load test of a server needs the word of its "
                      "owner; with it, give --yes-remote",
                      t.url.host);
  }
  t.chat = o.chat;
  t.model = o.model;
  t.timeouts.total = std::chrono::milliseconds(static_cast<int64_t>(o.timeout_s * 1e3));
  t.timeouts.first_byte = t.timeouts.total;
  t.timeouts.idle = t.timeouts.total;
  if (!o.api_key.empty()) t.headers.add("Authorization", "Bearer " + o.api_key);
  for (const std::string& line : o.headers) {
    const size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = std::string_view(line).substr(0, colon);
    const std::string_view value =
        http::trim_blanks(std::string_view(line).substr(std::min(colon + 1, line.size())));
    if (colon == line.size() || !http::is_token(name) || !http::is_field_value(value))
      return make_error(ErrorCode::kUsage, "--header: \"{}\" is not \"Name: value\"", line);
    t.headers.add(name, value);
  }
  for (const auto& field : t.headers.all()) {
    if (!http::is_field_value(field.value))
      return make_error(ErrorCode::kUsage, "--api-key holds a character that no header may have");
  }
  return t;
}

Result<bench::RequestShape> load_shape(const LoadOptions& o) {
  bench::RequestShape shape = o.shape;
  shape.stream = !o.whole;
  shape.ignore_eos = !o.stop_at_eos;
  if (o.extra.empty()) return shape;
  const Result<text::Json> extra = text::Json::parse(o.extra);
  if (!extra.ok()) return make_error(ErrorCode::kUsage, "--extra-body: {}", extra.error().message);
  if (!extra->is_object())
    return make_error(ErrorCode::kUsage, "--extra-body: not a JSON object, as {{\"top_p\":0.9}}");
  const std::string text = extra->dump();
  shape.extra = text.substr(1, text.size() - 2);
  return shape;
}

Result<std::optional<ops::Dataset>> load_dataset(const LoadOptions& o) {
  if (!o.trace.empty() && !o.prompts.empty())
    return make_error(ErrorCode::kUsage, "--trace and --prompts: give one of them");
  const std::string& path = o.trace.empty() ? o.prompts : o.trace;
  if (path.empty()) return std::optional<ops::Dataset>();
  const ops::DatasetLimits limits;
  WEIR_ASSIGN(const std::string bytes, os::read_file(path, limits.file_bytes));
  Result<ops::Dataset> dataset = ops::parse_dataset(bytes, limits);
  if (!dataset.ok()) return dataset.error().with_context(path);
  const bool trace = dataset->kind == ops::Dataset::Kind::kTrace;
  if (trace != o.prompts.empty()) {
    return make_error(ErrorCode::kUsage, "{} holds {}: give it as {}", path,
                      trace ? "a trace" : "prompts", trace ? "--trace" : "--prompts");
  }
  return std::optional<ops::Dataset>(std::move(*dataset));
}

Result<bench::WorkloadSpec> load_workload(const LoadOptions& o, const ops::Dataset* dataset) {
  const bool trace = dataset != nullptr && dataset->kind == ops::Dataset::Kind::kTrace;
  const auto text = [&](const std::string& flag, const char* otherwise) {
    return !flag.empty() ? flag : std::string(trace ? "trace" : otherwise);
  };
  bench::WorkloadSpec spec = o.workload;
  WEIR_ASSIGN(spec.prompt, bench::parse_length("--prompt-tokens", text(o.prompt_tokens, "512")));
  WEIR_ASSIGN(spec.output, bench::parse_length("--output-tokens", text(o.output_tokens, "128")));
  return spec;
}

Result<std::vector<Schedule>> load_schedules(const LoadOptions& o, const ops::Dataset* dataset) {
  std::vector<double> rates{o.rate_per_s};
  if (!o.sweep.empty()) {
    if (o.rate_per_s > 0 || o.concurrency > 0)
      return make_error(ErrorCode::kUsage, "--sweep takes the place of --rate and --concurrency");
    WEIR_ASSIGN(rates, read_sweep(o.sweep));
  }
  std::vector<Schedule> out;
  for (const double rate : rates) {
    WEIR_ASSIGN(Schedule s, schedule_at(o, dataset, rate));
    out.push_back(s);
  }
  return out;
}

std::map<std::string, std::string> load_settings(const LoadOptions& o, const bench::Target& target,
                                                 const bench::WorkloadSpec& workload,
                                                 const ops::Dataset* dataset) {
  std::map<std::string, std::string> out;
  out["target"] = "http://" + target.url.authority() + target.url.path;
  out["endpoint"] = target.chat ? "/v1/chat/completions" : "/v1/completions";
  out["model"] = target.model;
  out["stream"] = o.whole ? "no" : "yes";
  out["seed"] = std::to_string(workload.seed);
  out["temperature"] = fmt::format("{:g}", o.shape.temperature);
  out["ignore_eos"] = o.stop_at_eos ? "no" : "yes";
  if (o.concurrency == 0) out["arrivals"] = arrival_of(o, !o.trace.empty());
  if (!o.warmup.empty()) out["warmup"] = o.warmup;
  if (!o.extra.empty()) out["extra_body"] = o.extra;
  const bool own = dataset != nullptr && dataset->kind == ops::Dataset::Kind::kPrompts;
  if (!own) out["prompt_tokens"] = workload.prompt.text();
  out["output_tokens"] = workload.output.text();
  if (workload.prefix_tokens > 0 && !own) {
    out["prefix_tokens"] = std::to_string(workload.prefix_tokens);
    out["groups"] = fmt::format("{}, zipf {:g}", workload.groups, workload.zipf);
  }
  if (workload.turns > 1)
    out["turns"] = fmt::format("{}, think {:g} s", workload.turns, workload.think_s);
  if (dataset != nullptr) {
    out["data"] = fmt::format("{} ({}, {} rows)", o.trace.empty() ? o.prompts : o.trace,
                              dataset->format, dataset->rows.size());
    if (dataset->skipped > 0)
      out["rows without output left out"] = std::to_string(dataset->skipped);
    if (o.speed != 1) out["speed"] = fmt::format("{:g}", o.speed);
  }
  return out;
}

}  // namespace weir::cli
