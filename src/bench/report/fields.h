// The members of a report's structs by name, once for writing and for reading. Internal to bench/.
//
// visit(archive, struct) calls, for each member:
//   archive.number(name, double&)     finite          archive.unknown(name, double&)  or not known
//   archive.integer(name, int&)       archive.flag(name, bool&)   archive.text(name, std::string&)
//   archive.outcome(name, Outcome&)   archive.series(name, std::vector<double>&, may_be_unknown)
//   archive.texts(name, std::map<std::string, std::string>&)   archive.histogram(name, Histogram&)
//   archive.object(name, struct&)     archive.list(name, std::vector<struct>&, max)
#pragma once

#include <type_traits>

#include "bench/report/summary.h"

namespace weir::bench {

template <typename T, typename S>
concept Is = std::is_same_v<std::remove_const_t<T>, S>;

inline constexpr size_t kMaxTimelineBins = 2000;

template <typename Ar, Is<Estimate> T>
void visit(Ar& ar, T& e) {
  ar.unknown("value", e.value);
  ar.unknown("low", e.low);
  ar.unknown("high", e.high);
  ar.unknown("log_se", e.log_se);
}

template <typename Ar, Is<Distribution> T>
void visit(Ar& ar, T& d) {
  ar.integer("count", d.count);
  ar.unknown("min", d.min);
  ar.unknown("max", d.max);
  ar.unknown("stddev", d.stddev);
  ar.object("mean", d.mean);
  for (size_t i = 0; i < kQuantiles.size(); ++i) ar.object(kQuantileNames[i], d.quantiles[i]);
  ar.histogram("histogram", d.histogram);
}

template <typename Ar, Is<Slo> T>
void visit(Ar& ar, T& s) {
  ar.number("ttft_ms", s.ttft_ms);
  ar.number("itl_ms", s.itl_ms);
  ar.number("itl_max_ms", s.itl_max_ms);
  ar.number("tpot_ms", s.tpot_ms);
  ar.number("e2e_ms", s.e2e_ms);
  ar.number("share", s.share);
}

template <typename Ar, Is<Timeline> T>
void visit(Ar& ar, T& t) {
  ar.number("bin_s", t.bin_s);
  ar.series("in_flight", t.in_flight, false);
  ar.series("output_tokens_per_s", t.output_tokens_per_s, false);
  ar.series("arrivals_per_s", t.arrivals_per_s, false);
  ar.series("ttft_ms", t.ttft_ms, true);
  ar.series("errors_per_s", t.errors_per_s, false);
  ar.series("refusals_per_s", t.refusals_per_s, false);
}

template <typename Ar, Is<SteadyState> T>
void visit(Ar& ar, T& s) {
  ar.flag("found", s.found);
  ar.number("begin_s", s.begin_s);
  ar.number("end_s", s.end_s);
  ar.text("how", s.how);
  ar.integer("requests", s.requests);
  ar.object("output_tokens_per_s", s.output_tokens_per_s);
  ar.object("ttft_p50_ms", s.ttft_p50_ms);
  ar.object("ttft_p95_ms", s.ttft_p95_ms);
  ar.object("itl_p50_ms", s.itl_p50_ms);
  ar.object("itl_p95_ms", s.itl_p95_ms);
}

template <typename Ar, Is<Goodput> T>
void visit(Ar& ar, T& g) {
  ar.object("share", g.share);
  ar.object("requests_per_s", g.requests_per_s);
  ar.object("output_tokens_per_s", g.output_tokens_per_s);
  ar.flag("met", g.met);
  ar.integer("broke_ttft", g.broke_ttft);
  ar.integer("broke_itl", g.broke_itl);
  ar.integer("broke_tpot", g.broke_tpot);
  ar.integer("broke_e2e", g.broke_e2e);
  ar.integer("not_ok", g.not_ok);
}

template <typename Ar, Is<ErrorClass> T>
void visit(Ar& ar, T& e) {
  ar.outcome("outcome", e.outcome);
  ar.integer("status", e.status);
  ar.text("message", e.message);
  ar.integer("count", e.count);
  ar.number("first_s", e.first_s);
}

template <typename Ar, Is<GroupSummary> T>
void visit(Ar& ar, T& g) {
  ar.integer("group", g.group);
  ar.integer("requests", g.requests);
  ar.integer("ok", g.ok);
  ar.integer("refused", g.refused);
  ar.object("ttft_ms", g.ttft_ms);
  ar.number("output_tokens_per_s", g.output_tokens_per_s);
  ar.number("slo_share", g.slo_share);
}

template <typename Ar, Is<SampleRequest> T>
void visit(Ar& ar, T& r) {
  ar.number("intended_s", r.intended_s);
  ar.number("sent_s", r.sent_s);
  ar.number("first_token_s", r.first_token_s);
  ar.number("end_s", r.end_s);
  ar.number("queue_ms", r.queue_ms);
  ar.integer("prompt_tokens", r.prompt_tokens);
  ar.integer("output_tokens", r.output_tokens);
  ar.integer("cached_tokens", r.cached_tokens);
  ar.outcome("outcome", r.outcome);
}

template <typename Ar, Is<LoadSummary> T>
void visit_rates(Ar& ar, T& s) {
  ar.object("requests_per_s", s.requests_per_s);
  ar.object("output_tokens_per_s", s.output_tokens_per_s);
  ar.object("prompt_tokens_per_s", s.prompt_tokens_per_s);
  ar.object("total_tokens_per_s", s.total_tokens_per_s);
  ar.number("peak_output_tokens_per_s", s.peak_output_tokens_per_s);
  ar.integer("peak_in_flight", s.peak_in_flight);
  ar.number("mean_in_flight", s.mean_in_flight);
}

template <typename Ar, Is<LoadSummary> T>
void visit(Ar& ar, T& s) {
  ar.text("label", s.label);
  ar.texts("settings", s.settings);
  ar.number("offered_per_s", s.offered_per_s);
  ar.integer("concurrency", s.concurrency);
  ar.number("duration_s", s.duration_s);
  ar.object("slo", s.slo);
  ar.integer("requests", s.requests);
  ar.integer("ok", s.ok);
  ar.integer("refused", s.refused);
  ar.integer("failed", s.failed);
  ar.integer("prompt_tokens", s.prompt_tokens);
  ar.integer("output_tokens", s.output_tokens);
  ar.integer("cached_tokens", s.cached_tokens);
  ar.unknown("cached_share", s.cached_share);
  visit_rates(ar, s);
  ar.object("goodput", s.goodput);
  ar.object("ttft_ms", s.ttft_ms);
  ar.object("itl_ms", s.itl_ms);
  ar.object("tpot_ms", s.tpot_ms);
  ar.object("e2e_ms", s.e2e_ms);
  ar.object("queue_ms", s.queue_ms);
  ar.object("send_delay_ms", s.send_delay_ms);
  ar.object("refusal_ms", s.refusal_ms);
  ar.object("retry_after_s", s.retry_after_s);
  ar.list("errors", s.errors, LoadSummary::kMaxErrorClasses);
  ar.integer("errors_not_listed", s.errors_not_listed);
  ar.list("groups", s.groups, LoadSummary::kMaxGroups);
  ar.object("timeline", s.timeline);
  ar.object("steady", s.steady);
  ar.list("samples", s.samples, LoadSummary::kMaxSamples);
}

}  // namespace weir::bench
