#include "gateway/state/ledger_reader.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <fstream>

#include "gateway/state/ledger_schema.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway {
namespace {

LedgerEnd end_of(const std::string& name) {
  for (size_t i = 0; i < kLedgerEnds; ++i) {
    if (ledger_end_name(static_cast<LedgerEnd>(i)) == name) return static_cast<LedgerEnd>(i);
  }
  return LedgerEnd::kBroken;
}

LedgerEntry entry_at(const SqliteStatement& s) {
  LedgerEntry e;
  LedgerRow& r = e.row;
  r.request_id = s.text(0);
  r.attempt = static_cast<int32_t>(s.integer(1));
  r.final = s.integer(2) != 0;
  std::string* const texts[] = {&r.tenant,   &r.key_id,         &r.model,  &r.upstream,
                                &r.endpoint, &r.upstream_model, &r.release};
  for (size_t i = 0; i < std::size(texts); ++i) *texts[i] = s.text(static_cast<int>(i) + 3);
  r.started_unix_ms = s.integer(10);
  r.status = static_cast<int32_t>(s.integer(11));
  r.end = end_of(s.text(12));
  r.input_tokens = s.integer(13);
  r.cached_tokens = s.integer(14);
  r.output_tokens = s.integer(15);
  if (!s.is_null(16)) r.ttft_ms = s.number(16);
  r.total_ms = s.number(17);
  if (!s.is_null(18)) r.cost_nanos = s.integer(18);
  r.cache = s.text(19);
  r.hedged = s.integer(20) != 0;
  r.continued = s.integer(21) == kContinuedAttempt;
  r.retried = s.integer(21) != 0 && !r.continued;
  r.estimated = s.integer(22) != 0;
  if (r.final && !s.is_null(23)) e.accepted = s.integer(23) != 0;
  if (r.final && !s.is_null(24)) e.score = s.number(24);
  return e;
}

// {0} and {1} are the columns of the model as the client and as the upstream names it, {2} is
// whether the tokens were estimated.
constexpr const char* kSelect =
    "SELECT a.request_id, a.attempt, a.final, a.tenant, a.key_id, a.{0}, a.upstream, a.endpoint, "
    "a.{1}, a.release, a.started_unix_ms, a.status, a.outcome, a.input_tokens, a.cached_tokens, "
    "a.output_tokens, a.ttft_ms, a.total_ms, a.cost_nanos, a.cache, a.hedged, a.retried, "
    "{2}, o.accepted, o.score FROM attempts a LEFT JOIN outcomes o ON o.request_id = a.request_id "
    "AND "
    "o.tenant = a.tenant WHERE a.started_unix_ms >= ?1 AND a.started_unix_ms < ?2 AND (?3 = '' OR "
    "a.tenant = ?3) ORDER BY a.id";

constexpr const char* kSelectRequests =
    "SELECT request_id, tenant, {0}, timestamp, input_length, output_length, cost, accepted, "
    "{1}, upstream, release, outcome, ttft_ms, total_ms FROM requests WHERE timestamp >= ?1 AND "
    "timestamp < ?2 AND (?3 = '' OR tenant = ?3) AND (?4 = 0 OR accepted IS NOT NULL) ORDER BY "
    "timestamp";

std::string with_columns(const char* select, int64_t schema) {
  const bool first = schema == 1;
  return fmt::format(fmt::runtime(select), first ? "route" : "model",
                     first ? "model" : "upstream_model", schema < 3 ? "0" : "a.estimated");
}

void bind_filter(SqliteStatement& s, const LedgerFilter& filter) {
  s.bind(1, filter.from_ms);
  s.bind(2, filter.to_ms);
  s.bind(3, std::string_view(filter.tenant));
}

text::Json request_json(const SqliteStatement& s, int64_t first_ms, bool usd) {
  text::Json j = text::Json::object();
  const auto text = [&](const char* name, int at) {
    j.set(name, text::replace_invalid_utf8(s.text(at)));
  };
  text("request_id", 0);
  j.set("timestamp", s.integer(3) - first_ms);
  j.set("input_length", s.integer(4));
  j.set("output_length", s.integer(5));
  j.set(usd ? "cost_usd" : "cost", s.number(6));
  if (!s.is_null(7)) j.set("accepted", s.integer(7) != 0);
  text("tenant", 1);
  text("model", 2);
  text("upstream_model", 8);
  text("upstream", 9);
  text("release", 10);
  text("outcome", 11);
  if (!s.is_null(12)) j.set("ttft_ms", s.number(12));
  j.set("total_ms", s.number(13));
  return j;
}

}  // namespace

Result<LedgerReader> LedgerReader::open(const std::string& path) {
  WEIR_ASSIGN(Sqlite db, Sqlite::open(path, SqliteMode::kRead));
  WEIR_ASSIGN(LedgerKind kind, check_ledger_schema(db, path));
  return LedgerReader(std::move(db), kind.schema, std::move(kind.currency));
}

bool LedgerReader::is_database(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 16> head{};
  file.read(head.data(), head.size());
  return file && std::memcmp(head.data(), "SQLite format 3", head.size()) == 0;  // with its end
}

Status LedgerReader::each(const LedgerFilter& filter,
                          const std::function<Status(const LedgerEntry&)>& visit) {
  WEIR_ASSIGN(SqliteStatement s, db_.prepare(with_columns(kSelect, schema_)));
  bind_filter(s, filter);
  for (;;) {
    WEIR_ASSIGN(const bool row, s.step());
    if (!row) return {};
    WEIR_TRY(visit(entry_at(s)));
  }
}

Result<std::string> LedgerReader::requests(const LedgerFilter& filter, bool reported,
                                           size_t max_bytes) {
  WEIR_ASSIGN(SqliteStatement s, db_.prepare(with_columns(kSelectRequests, schema_)));
  bind_filter(s, filter);
  s.bind(4, int64_t{reported ? 1 : 0});
  std::string out;
  std::optional<int64_t> first_ms;
  for (;;) {
    WEIR_ASSIGN(const bool row, s.step());
    if (!row) return out;
    if (!first_ms) first_ms = s.integer(3);
    out += request_json(s, *first_ms, currency_ == "USD").dump();
    out += '\n';
    if (out.size() > max_bytes)
      return make_error(ErrorCode::kLimit,
                        "the requests take more than {} bytes: name a shorter time", max_bytes);
  }
}

}  // namespace weir::gateway
