#include "ops/brief/brief.h"

#include <algorithm>
#include <array>
#include <set>

#include "http/https_head.h"
#include "ops/sources/ages.h"
#include "ops/sources/days.h"
#include "ops/sources/sources.h"

namespace weir::ops {
namespace {

constexpr size_t kLeastLandscape = 3, kLeastOther = 1;

struct Section {
  std::string_view title;
  char label = ' ';
  std::vector<BriefLine> Brief::*lines = nullptr;
  size_t least = kLeastOther;
  std::string_view explained;
};
constexpr std::array kSections = {
    Section{"Current landscape", 'L', &Brief::landscape, kLeastLandscape,
            "what is in use now: at least three lines"},
    Section{"Emerging", 'E', &Brief::emerging, kLeastOther, "what is coming, and how far it is"},
    Section{"Declining", 'D', &Brief::declining, kLeastOther, "what is on its way out, and why"},
    Section{"Recommendation", 'R', &Brief::recommendation, kLeastOther,
            "what follows for this deployment; name the lines it rests on, as - R1: "
            "Migrate [L1, D1]; (KIND, DAY, LINK) where it has a source of its own"},
};

std::string_view trimmed(std::string_view s) {
  const size_t from = s.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return s.substr(from, s.find_last_not_of(" \t\r") - from + 1);
}

bool is_label(std::string_view text) {
  return text.size() >= 2 && text.size() <= 4 &&
         std::string_view("LEDR").find(text[0]) != std::string_view::npos &&
         std::all_of(text.begin() + 1, text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = trimmed(text.substr(0, comma));
    if (!word.empty()) out.emplace_back(word);
    text.remove_prefix(std::min(text.size(), comma + 1));
  }
  return out;
}

// Labels in the first brackets that hold nothing else.
std::vector<std::string> references(std::string_view text) {
  for (size_t open = text.find('['); open != std::string_view::npos;
       open = text.find('[', open + 1)) {
    const size_t close = text.find(']', open);
    if (close == std::string_view::npos) break;
    auto labels = list_of(text.substr(open + 1, close - open - 1));
    if (!labels.empty() && std::all_of(labels.begin(), labels.end(), is_label)) return labels;
  }
  return {};
}

// "L1: text (kind, day, link)", without the "- " before it. "" or what is wrong.
std::string read_line(std::string_view text, BriefLine& out) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_label(text.substr(0, colon)))
    return "must begin with a label: L1: ... (E, D, R in the other sections)";
  out.label = text.substr(0, colon);
  text = trimmed(text.substr(colon + 1));
  const size_t comma = text.rfind(", http");
  const size_t open = comma == std::string_view::npos ? comma : text.rfind('(', comma);
  // What is recommended may rest on the lines that it names alone.
  if (comma == std::string_view::npos && out.label[0] == 'R' && text.ends_with(']')) {
    out.text = text;
    out.refers = references(out.text);
    return out.text.empty() ? "says nothing" : "";
  }
  if (open == std::string_view::npos || !text.ends_with(')'))
    return "must end with (kind, day, link): (release, 2026-11-20, https://...)";
  const auto parts = list_of(text.substr(open + 1, comma - open - 1));
  if (parts.size() != 2) return "must end with (kind, day, link), each once";
  out.kind = parts[0];
  out.date = parts[1];
  out.link = text.substr(comma + 2, text.size() - comma - 3);
  out.text = trimmed(text.substr(0, open));
  out.refers = references(out.text);
  return out.text.empty() ? "says nothing" : "";
}

// One pass over the lines.
class Parser {
 public:
  explicit Parser(std::vector<BriefProblem>& problems) : problems_(problems) {}

  void line(std::string_view raw) {
    ++number_;
    std::string_view text = trimmed(raw);
    if (comment_) {
      comment_ = text.find("-->") == std::string_view::npos;
      return;
    }
    if (text.starts_with("<!--")) {
      comment_ = text.find("-->") == std::string_view::npos;
      return;
    }
    if (text.starts_with("# ")) return title(text.substr(2));
    if (text.starts_with("## ")) return section(trimmed(text.substr(3)));
    if (!text.starts_with("- ")) return;
    text = trimmed(text.substr(2));
    if (where_ == Where::kHead) head(text);
    if (where_ == Where::kSearches) search(text);
    if (where_ != Where::kLines) return;
    BriefLine line;
    line.line = number_;
    const std::string wrong = read_line(text, line);
    if (!wrong.empty()) return problem(wrong);
    if (line.label[0] != section_->label)
      return problem(fmt::format("{} in the section {}, whose labels begin with {}", line.label,
                                 section_->title, section_->label));
    (out.*(section_->lines)).push_back(std::move(line));
  }

  Brief out;

 private:
  enum class Where { kHead, kSearches, kOther, kLines };

  void problem(std::string what) { problems_.push_back({number_, std::move(what)}); }
  void title(std::string_view text) {
    constexpr std::string_view kBefore = "Brief:";
    if (text.starts_with(kBefore)) out.question = trimmed(text.substr(kBefore.size()));
  }
  void section(std::string_view name) {
    const auto* it = std::find_if(kSections.begin(), kSections.end(),
                                  [&](const Section& s) { return s.title == name; });
    section_ = it == kSections.end() ? nullptr : it;
    where_ = section_ != nullptr  ? Where::kLines
             : name == "Searches" ? Where::kSearches
                                  : Where::kOther;
  }
  void head(std::string_view text) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view key = text.substr(0, colon), value = trimmed(text.substr(colon + 1));
    if (key == "kind") out.kind = value;
    if (key == "written") out.written = value;
    if (key == "topics") out.topics = list_of(value);
  }
  void search(std::string_view text) {
    ++out.searches;
    if (!text.starts_with("[x]") && !text.starts_with("[X]")) ++out.open_searches;
  }

  std::vector<BriefProblem>& problems_;
  Where where_ = Where::kHead;
  const Section* section_ = nullptr;
  bool comment_ = false;
  int number_ = 0;
};

// The link and the day of a line.
void check_line(const BriefLine& l, int today, std::vector<BriefProblem>& out) {
  const auto say = [&](std::string_view what) {
    out.push_back({l.line, fmt::format("{}: {}", l.label, what)});
  };
  if (l.label[0] == 'R' && l.kind.empty() && l.date.empty() && l.link.empty()) return;
  const auto kinds = source_kinds();
  const bool known = std::find(kinds.begin(), kinds.end(), l.kind) != kinds.end();
  if (!known) say(fmt::format("kind \"{}\" must be one of {}", l.kind, fmt::join(kinds, ", ")));
  if (!http::parse_https_url(l.link).ok()) say(fmt::format("\"{}\" is no https link", l.link));
  const auto day = day_number(l.date);
  if (!day) return say(fmt::format("\"{}\" is no day; write YYYY-MM-DD", l.date));
  if (*day > today) say(fmt::format("{} lies ahead", l.date));
  if (known && today - *day > stale_days(l.kind)) {
    say(fmt::format("{} is {} ago; of kind {} {} at most", l.date, days(today - *day), l.kind,
                    stale_days(l.kind)));
  }
}

void check_head(const Brief& b, const Trends& trends, int today, std::vector<BriefProblem>& out) {
  if (b.question.empty()) out.push_back({0, "has no question: # Brief: ..."});
  const auto written = day_number(b.written);
  if (!written) out.push_back({0, fmt::format("written: \"{}\" is no day", b.written)});
  if (written && *written > today)
    out.push_back({0, fmt::format("written: {} lies ahead", b.written)});
  if (b.topics.empty()) out.push_back({0, "has no topics"});
  for (const std::string& t : b.topics) {
    if (trends.topic(t) == nullptr)
      out.push_back({0, fmt::format("topics: there is no topic {}", t)});
  }
  if (b.searches == 0) out.push_back({0, "has no searches"});
  if (b.open_searches > 0) {
    out.push_back({0, fmt::format("{} of {} searches are not ticked: - [x] ...", b.open_searches,
                                  b.searches)});
  }
}

}  // namespace

std::string brief_template(const TrendQuestion& q, std::span<const std::string> searches,
                           std::span<const AgedEvidence> evidence, int today) {
  std::string topics;
  for (const TrendTopic* t : q.topics) topics += (topics.empty() ? "" : ", ") + t->id;
  std::string out =
      fmt::format("# Brief: {}\n\n- kind: {}\n- topics: {}\n- written: {}\n\n## Searches\n\n",
                  q.text, q.kind == nullptr ? "other" : q.kind->id, topics, day_text(today));
  for (const std::string& s : searches) out += fmt::format("- [ ] {}\n", s);
  out += "\n## Evidence that stands now\n\n";
  for (const AgedEvidence& e : evidence) {
    out += fmt::format("- {} ({}): read {}, {} ago{}{}\n", e.id, e.what, e.read, days(e.age_days),
                       e.stale() ? fmt::format("; stale, {} at most", e.limit_days) : "",
                       e.verified ? "" : "; unverified");
  }
  if (evidence.empty()) out += "None: nothing in the ledger is about this.\n";
  out += "\n<!-- Each line below: - LABEL: what holds (KIND, DAY, LINK). KIND is one of ";
  out +=
      fmt::format("{}.\nDAY is that of the page, or of reading it where the page has none. -->\n",
                  fmt::join(source_kinds(), ", "));
  for (const Section& s : kSections)
    out += fmt::format("\n## {}\n\n<!-- {}1, {}2, ...: {} -->\n", s.title, s.label, s.label,
                       s.explained);
  return out;
}

Brief parse_brief(std::string_view text, std::vector<BriefProblem>& problems) {
  Parser parser(problems);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    parser.line(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return std::move(parser.out);
}

std::vector<BriefProblem> check_brief(std::string_view text, const Trends& trends, int today) {
  std::vector<BriefProblem> out;
  const Brief b = parse_brief(text, out);
  check_head(b, trends, today, out);
  std::set<std::string> labels;
  for (const Section& s : kSections) {
    const auto& lines = b.*(s.lines);
    if (lines.size() < s.least)
      out.push_back(
          {0, fmt::format("{}: {} lines of at least {}", s.title, lines.size(), s.least)});
    for (const BriefLine& l : lines) {
      check_line(l, today, out);
      if (!labels.insert(l.label).second) out.push_back({l.line, l.label + " stands twice"});
    }
  }
  for (const BriefLine& l : b.recommendation) {
    bool landscape = false;
    for (const std::string& r : l.refers) {
      landscape = landscape || r[0] == 'L';
      if (!labels.contains(r))
        out.push_back({l.line, fmt::format("{}: refers to {}, which is not there", l.label, r)});
    }
    if (!landscape)
      out.push_back({l.line, fmt::format("{}: refers to no line of the landscape: [L1]", l.label)});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const BriefProblem& x, const BriefProblem& y) { return x.line < y.line; });
  return out;
}

}  // namespace weir::ops
