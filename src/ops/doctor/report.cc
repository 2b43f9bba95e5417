#include "ops/doctor/report.h"

#include <fmt/format.h>

#include "ops/doctor/text.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

// One line of valid UTF-8, without what would move a terminal's cursor (C0 and C1 controls).
std::string clean(std::string_view raw) {
  const std::string text = text::replace_invalid_utf8(raw);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (c == '\n' || c == '\t') {
      out += c == '\n' ? "; " : " ";
    } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
      ++i;
    } else if (c >= 0x20 && c != 0x7f) {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string_view severity_name(DoctorSeverity s) {
  return s == DoctorSeverity::kFix ? "fix" : "hint";
}

void line(std::string& out, std::string_view name, std::string_view text) {
  if (!text.empty()) out += fmt::format("    {:<7} {}\n", name, clean(text));
}

std::string machine_line(const Machine& m) {
  std::string out = m.cpu.model.empty() ? "a machine" : m.cpu.model;
  if (m.cpu.logical > 0) out += fmt::format(", {} CPUs", m.cpu.logical);
  if (m.memory.total_bytes > 0)
    out += fmt::format(", {:.0f} GiB", static_cast<double>(m.memory.total_bytes) / (1 << 30));
  if (m.nvidia) out += fmt::format(", {} x {}", m.nvidia->gpus.size(), m.nvidia->gpus[0].name);
  if (!m.kernel.empty()) out += ", Linux " + m.kernel;
  if (m.cpu.virtual_machine) out += ", virtual";
  if (m.container) out += ", in a container (" + m.container_kind + ")";
  if (m.kubernetes) out += ", Kubernetes node";
  return clean(out);
}

std::string ids(const std::vector<const DoctorRule*>& rules) {
  std::vector<std::string_view> names;
  names.reserve(rules.size());
  for (const DoctorRule* r : rules) names.push_back(r->id);
  return fmt::format("{}", fmt::join(names, " "));
}

size_t count(const Diagnosis& d, DoctorSeverity severity) {
  size_t n = 0;
  for (const DoctorFinding& f : d.wrong) n += f.severity == severity ? 1 : 0;
  return n;
}

text::Json finding_json(const DoctorFinding& f, std::string_view status, const Sources& sources) {
  text::Json j = text::Json::object();
  j.set("id", f.rule->id);
  j.set("status", status);
  j.set("found", clean(f.judged.found));
  j.set("wanted", f.rule->wanted);
  j.set("why", f.rule->why);
  j.set("source", f.rule->source);
  if (const Source* source = sources.find(f.rule->source)) j.set("source_url", source->url);
  if (status == "fine") return j;
  if (!f.judged.fix.empty()) j.set("fix", text::replace_invalid_utf8(f.judged.fix));
  if (!f.judged.undo.empty()) j.set("undo", text::replace_invalid_utf8(f.judged.undo));
  if (!f.judged.advice.empty()) j.set("advice", clean(f.judged.advice));
  return j;
}

// The body of one function of the script.
std::string body(const Diagnosis& d, bool undo) {
  std::string out;
  for (const DoctorFinding& f : d.wrong) {
    const std::string& commands = undo ? f.judged.undo : f.judged.fix;
    if (f.judged.fix.empty()) continue;
    out += fmt::format("  # {} ({}): {}\n", f.rule->id, severity_name(f.severity),
                       clean(f.judged.found));
    if (!undo) {
      out +=
          fmt::format("  #   wanted: {}; {} [{}]\n", f.rule->wanted, f.rule->why, f.rule->source);
      out += fmt::format("  #   undo: {}\n", clean(f.judged.undo));
    }
    for (const std::string_view command : split_lines(commands))
      out += fmt::format("  {}\n", command);
  }
  return out.empty() ? "  :\n" : out + "  :\n";
}

}  // namespace

std::string doctor_text(const Machine& machine, const Diagnosis& d, const Sources& sources,
                        bool all) {
  std::string out = machine_line(machine) + "\n\n";
  for (const DoctorFinding& f : d.wrong) {
    out += fmt::format("{:<5} {}\n", severity_name(f.severity), f.rule->id);
    line(out, "found", f.judged.found);
    line(out, "wanted", f.rule->wanted);
    line(out, "why", f.rule->why);
    const Source* source = sources.find(f.rule->source);
    line(out, "source", fmt::format("{} {}", f.rule->source, source == nullptr ? "" : source->url));
    line(out, "fix", f.judged.fix);
    line(out, "undo", f.judged.undo);
    line(out, "do", f.judged.advice);
  }
  if (all) {
    for (const DoctorFinding& f : d.fine)
      out += fmt::format("ok    {:<26} {}\n", f.rule->id, clean(f.judged.found));
  }
  if (!d.wrong.empty() || all) out += "\n";
  for (const std::string& problem : machine.problems)
    out += fmt::format("could not be understood: {}\n", clean(problem));
  if (!d.unknown.empty()) out += fmt::format("could not be read: {}\n", ids(d.unknown));
  out += fmt::format("{} to fix, {} hints, {} fine; {} could not be read, {} do not apply\n",
                     count(d, DoctorSeverity::kFix), count(d, DoctorSeverity::kHint), d.fine.size(),
                     d.unknown.size(), d.other.size());
  return out;
}

text::Json doctor_json(const Machine& machine, const Diagnosis& d, const Sources& sources) {
  text::Json checks = text::Json::array();
  for (const DoctorFinding& f : d.wrong)
    checks.push_back(finding_json(f, severity_name(f.severity), sources));
  for (const DoctorFinding& f : d.fine) checks.push_back(finding_json(f, "fine", sources));
  const auto names = [](const std::vector<const DoctorRule*>& rules) {
    text::Json list = text::Json::array();
    for (const DoctorRule* r : rules) list.push_back(r->id);
    return list;
  };
  text::Json problems = text::Json::array();
  for (const std::string& p : machine.problems) problems.push_back(clean(p));
  text::Json j = text::Json::object();
  j.set("machine", machine_line(machine));
  j.set("ok", !d.to_fix());
  j.set("checks", std::move(checks));
  j.set("not_read", names(d.unknown));
  j.set("not_applicable", names(d.other));
  j.set("problems", std::move(problems));
  return j;
}

std::string doctor_script(const Diagnosis& d) {
  std::string out =
      "#!/bin/sh\n"
      "# Written by weir doctor, which runs none of it. Read it, then, as root: sh FILE apply, and "
      "to go back sh FILE "
      "undo.\n"
      "# Settings last until the next boot; what is to stay belongs into /etc/sysctl.d, units and "
      "firmware.\n"
      "set -u\n\n";
  for (const DoctorFinding& f : d.wrong) {
    if (f.judged.advice.empty()) continue;
    out +=
        fmt::format("# by hand: {} ({}): {}\n#   {} [{}]\n", f.rule->id, severity_name(f.severity),
                    clean(f.judged.found), clean(f.judged.advice), f.rule->source);
  }
  out += "\napply() {\n" + body(d, false) + "}\n\nundo() {\n" + body(d, true) + "}\n\n";
  out +=
      "case \"${1:-}\" in\n"
      "  apply) apply ;;\n"
      "  undo) undo ;;\n"
      "  *) echo \"usage: sh $0 apply|undo\" >&2; exit 2 ;;\n"
      "esac\n";
  return out;
}

}  // namespace weir::ops
