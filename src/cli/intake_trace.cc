#include "cli/intake_trace.h"

#include "gateway/state/ledger_reader.h"
#include "ops/intake/read_trace.h"
#include "ops/trace/dataset.h"
#include "ops/trace/traffic.h"
#include "os/file.h"

namespace weir::cli {

namespace {

// A file of requests, or those of a gateway's ledger in the form of a trace.
Result<std::string> trace_bytes(const std::string& file, uint64_t max_bytes) {
  if (!gateway::LedgerReader::is_database(file)) return os::read_file(file, max_bytes);
  WEIR_ASSIGN(auto ledger, gateway::LedgerReader::open(file));
  WEIR_ASSIGN(std::string lines, ledger.requests({}, false, max_bytes));
  if (lines.empty()) return make_error(ErrorCode::kCorrupt, "{}: holds no request", file);
  return lines;
}

}  // namespace

Result<ops::Intake> read_trace_source(const std::string& file, const ops::Project& project) {
  const ops::DatasetLimits limits;
  WEIR_ASSIGN(const std::string bytes, trace_bytes(file, limits.file_bytes));
  const Result<ops::Dataset> trace = ops::parse_dataset(bytes, limits);
  if (!trace.ok()) return trace.error().with_context(file);
  if (trace->kind != ops::Dataset::Kind::kTrace) {
    return make_error(ErrorCode::kUsage,
                      "{} holds prompts, which have no times and no lengths in tokens; a trace has "
                      "lines such as {{\"timestamp\":ms,\"input_length\":n,\"output_length\":n}}",
                      file);
  }
  const ops::TraceTraffic traffic = ops::describe_trace(*trace, file);
  const std::string path = project.evidence() + "/" + ops::trace_evidence_name(file);
  WEIR_TRY(os::write_file_atomic(path + ".json", ops::traffic_json(traffic)));
  WEIR_TRY(os::write_file_atomic(path + ".html", ops::traffic_html(traffic)));
  fmt::print(stderr, "weir: wrote {0}.json and {0}.html\n", path);
  return ops::intake_of_trace(traffic);
}

}  // namespace weir::cli
