#include "ops/skill/skill_lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <tuple>

#include "ops/skill/pack.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

constexpr size_t kSlowest = 5;
constexpr std::string_view kLedger = "data/sources.json";

class SkillLinter {
 public:
  explicit SkillLinter(const SkillLintOptions& options) : options_(options) {}

  Result<SkillLintReport> lint() {
    WEIR_ASSIGN(const std::vector<SkillFile> files, read_skill(options_.folder));
    if (files.empty())
      return make_error(ErrorCode::kNotFound,
                        "{} holds no skill pack (no SKILL.md, no page); name the folder of one",
                        options_.folder);
    if (options_.page.empty()) inventory();
    WEIR_TRY(ledger(files));
    for (const SkillFile& file : files) {
      if (file.name.ends_with(".md")) page(file);
    }
    if (pages_.empty() && report_.findings.empty())
      return make_error(ErrorCode::kNotFound, "no page's name holds \"{}\"", options_.page);
    for (const Page& p : pages_) blocks(p);
    if (options_.run) WEIR_TRY(run());
    std::stable_sort(report_.findings.begin(), report_.findings.end(),
                     [](const PageFinding& a, const PageFinding& b) {
                       return std::tie(a.file, a.line) < std::tie(b.file, b.line);
                     });
    return std::move(report_);
  }

 private:
  void inventory() {
    const SkillInventory found = skill_inventory(options_.folder);
    for (const std::string& name : found.missing)
      report_.findings.push_back({name, 1, "the page is missing; write it"});
    for (const std::string& name : found.unknown)
      report_.findings.push_back(
          {name, 1, "the page does not belong to the pack; take it out or rename it"});
  }

  // That of the pack, else the program's.
  Status ledger(const std::vector<SkillFile>& files) {
    const auto it = std::find_if(files.begin(), files.end(),
                                 [](const SkillFile& f) { return f.name == kLedger; });
    if (it == files.end()) {
      report_.findings.push_back({std::string(kLedger), 1, "the ledger is missing; add it"});
      WEIR_ASSIGN(sources_, built_in_sources());
      return {};
    }
    WEIR_ASSIGN(sources_, parse_sources(it->text, it->name));
    return {};
  }

  void page(const SkillFile& file) {
    if (file.name.find(options_.page) == std::string::npos) return;
    auto read = read_page(file.text, file.name);
    if (!read.ok()) {
      report_.findings.push_back(reader_finding(file.name, read.error().message));
      return;
    }
    PageRules rules;
    rules.sources = &sources_;
    if (!options_.root.empty()) {
      rules.has_file = [this](const std::string& name) {
        std::error_code error;
        return std::filesystem::is_regular_file(std::filesystem::path(options_.root) / name, error);
      };
    }
    if (file.name == "SKILL.md") {
      check_skill_page(*read, rules, report_.findings, report_.numbers);
    } else {
      ++report_.pages;
      check_page(*read, rules, report_.findings, report_.numbers);
    }
    pages_.push_back(*std::move(read));
  }

  // "NAME:LINE: what" of the reader.
  static PageFinding reader_finding(const std::string& name, const std::string& message) {
    PageFinding finding{name, 1, message};
    const size_t colon = message.find(": ", name.size() + 1);
    if (!message.starts_with(name + ":") || colon == std::string::npos) return finding;
    std::from_chars(&message[name.size() + 1], &message[colon], finding.line);
    finding.what = message.substr(colon + 2);
    return finding;
  }

  void blocks(const Page& page) {
    size_t runnable = 0;
    for (const PageBlock& block : page.blocks) {
      const auto plan = plan_block(block);
      if (!plan.ok()) {
        report_.findings.push_back({page.name, block.line, plan.error().message});
        continue;
      }
      runnable += runs(plan->kind) ? 1 : 0;
      if (runs(plan->kind)) continue;
      if (parse_block(page, block, *plan, options_.parsers, report_.findings)) {
        ++report_.blocks.parsed;
      } else {
        ++(plan->kind == BlockKind::kNeeds ? report_.blocks.needs : report_.blocks.text);
      }
    }
    if (runnable == 0 && page.name != "SKILL.md")
      report_.findings.push_back(
          {page.name, 1, "no block that runs; add one that proves the page's point"});
  }

  Status run() {
    BlockRunOptions o = options_.blocks;
    const os::TempDir made;
    if (o.corpus.empty()) {
      o.corpus = made.file("corpus.txt");
      WEIR_TRY(os::write_file_atomic(o.corpus, sample_corpus(pages_)));
    }
    if (o.trace.empty()) {
      o.trace = made.file("trace.csv");
      WEIR_TRY(os::write_file_atomic(o.trace, sample_trace()));
    }
    WEIR_ASSIGN(const auto results, run_blocks(pages_, o));
    for (size_t p = 0; p < pages_.size(); ++p) {
      for (size_t b = 0; b < results[p].size(); ++b)
        take(pages_[p], pages_[p].blocks[b], results[p][b]);
    }
    std::sort(report_.slowest.begin(), report_.slowest.end(),
              [](const TimedBlock& a, const TimedBlock& b) { return a.seconds > b.seconds; });
    if (report_.slowest.size() > kSlowest) report_.slowest.resize(kSlowest);
    return {};
  }

  void take(const Page& page, const PageBlock& block, const BlockResult& result) {
    const auto plan = plan_block(block);
    if (!plan.ok() || !runs(plan->kind)) return;
    if (result.end == BlockResult::End::kSkipped) {
      ++report_.blocks.skipped;
      return;
    }
    ++report_.blocks.run;
    report_.slowest.push_back({page.name, block.line, result.seconds});
    if (result.end == BlockResult::End::kOk) return;
    ++report_.blocks.failed;
    report_.findings.push_back(
        {page.name, block.line,
         fmt::format("the block failed: {}; run it by hand, and mend it{}{}", result.why,
                     result.output.empty() ? "" : "; it said:\n", result.output)});
  }

  const SkillLintOptions& options_;
  Sources sources_;
  std::vector<Page> pages_;
  SkillLintReport report_;
};

}  // namespace

Result<SkillLintReport> lint_skill(const SkillLintOptions& options) {
  return SkillLinter(options).lint();
}

std::string skill_lint_text(const SkillLintReport& r) {
  std::string out;
  for (const PageFinding& f : r.findings) {
    out += fmt::format("{}:{}: {}", f.file, f.line, f.what);
    if (!out.ends_with('\n')) out += '\n';
  }
  for (const TimedBlock& b : r.slowest)
    out += fmt::format("slow: {}:{}: {:.1f} s\n", b.file, b.line, b.seconds);
  out += fmt::format(
      "{} pages; numbers: {} sourced, {} measured, {} hypothesis, {} without a tag; blocks: {} run "
      "({} failed), {} parsed, {} need something, {} text, {} skipped; {} findings\n",
      r.pages, r.numbers.sourced, r.numbers.measured, r.numbers.hypothesis, r.numbers.untagged,
      r.blocks.run, r.blocks.failed, r.blocks.parsed, r.blocks.needs, r.blocks.text,
      r.blocks.skipped, r.findings.size());
  return out;
}

text::Json skill_lint_json(const SkillLintReport& r) {
  const auto count = [](size_t n) { return text::Json(static_cast<int64_t>(n)); };
  text::Json findings = text::Json::array();
  for (const PageFinding& f : r.findings) {
    text::Json j = text::Json::object();
    j.set("file", f.file);
    j.set("line", int64_t{f.line});
    j.set("what", f.what);
    findings.push_back(std::move(j));
  }
  text::Json numbers = text::Json::object();
  numbers.set("sourced", count(r.numbers.sourced));
  numbers.set("measured", count(r.numbers.measured));
  numbers.set("hypothesis", count(r.numbers.hypothesis));
  numbers.set("untagged", count(r.numbers.untagged));
  text::Json blocks = text::Json::object();
  blocks.set("run", count(r.blocks.run));
  blocks.set("failed", count(r.blocks.failed));
  blocks.set("parsed", count(r.blocks.parsed));
  blocks.set("needs", count(r.blocks.needs));
  blocks.set("text", count(r.blocks.text));
  blocks.set("skipped", count(r.blocks.skipped));
  text::Json slowest = text::Json::array();
  for (const TimedBlock& b : r.slowest) {
    text::Json j = text::Json::object();
    j.set("file", b.file);
    j.set("line", int64_t{b.line});
    j.set("seconds", b.seconds);
    slowest.push_back(std::move(j));
  }
  text::Json out = text::Json::object();
  out.set("pages", count(r.pages));
  out.set("numbers", std::move(numbers));
  out.set("blocks", std::move(blocks));
  out.set("slowest", std::move(slowest));
  out.set("findings", std::move(findings));
  return out;
}

}  // namespace weir::ops
