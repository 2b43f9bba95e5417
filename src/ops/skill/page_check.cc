#include "ops/skill/page_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/skill/pack.h"
#include "ops/skill/tags.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

using Kind = PageText::Kind;
constexpr size_t kMaxSkillLines = 250;
constexpr size_t kMinFailures = 5;  // rows of "When it fails"
constexpr std::string_view kRead = "Sources read up to ";

class Checker {
 public:
  Checker(const Page& page, const PageRules& rules, std::vector<PageFinding>& findings,
          NumberCounts& counts)
      : page_(page), rules_(rules), findings_(findings), counts_(counts) {}

  template <typename... Args>
  void say(int line, fmt::format_string<Args...> format, Args&&... args) {
    findings_.push_back(
        {page_.name, std::max(line, 1), fmt::format(format, std::forward<Args>(args)...)});
  }

  void length(size_t max_lines) {
    if (static_cast<size_t>(page_.lines) > max_lines)
      say(page_.lines, "{} lines; {} are allowed: cut or move something", page_.lines, max_lines);
  }

  // Tags and numbers of every text; ids that were used outside of the last section.
  void texts() {
    for (const PageText& text : page_.texts) {
      if (text.kind == Kind::kHeading) continue;
      const PageScan scan = scan_text(text.text);
      std::set<std::string> seen;
      for (const PageTag& tag : scan.tags) {
        const bool known = rules_.sources->find(tag.id) != nullptr;  // else once is enough
        if (seen.insert(known ? tag.id + "#" + tag.claim : tag.id).second) check_tag(text, tag);
      }
      for (const PageNumber& number : scan.numbers) count(text, scan, number);
    }
  }

  void sections() {
    const auto& wanted = page_sections();
    if (page_.title.empty()) say(1, "no title; begin with a line \"# Title\"");
    for (size_t i = 0; i < std::max(wanted.size(), page_.sections.size() - 1); ++i) {
      if (i >= wanted.size()) {
        say(page_.sections[i + 1].line, "a section \"{}\" too many; the last is \"{}\"",
            page_.sections[i + 1].title, wanted.back());
      } else if (i + 1 >= page_.sections.size()) {
        say(page_.lines, "no section \"{}\"; add \"## {}\"", wanted[i], wanted[i]);
      } else if (page_.sections[i + 1].title != wanted[i]) {
        say(page_.sections[i + 1].line,
            "section \"{}\" stands where \"{}\" should; the order is {}",
            page_.sections[i + 1].title, wanted[i], fmt::join(wanted, ", "));
        return;
      }
    }
    for (size_t i = 1; i < page_.sections.size(); ++i) {
      if (!has_content(i))
        say(page_.sections[i].line, "section \"{}\" is empty; fill it", page_.sections[i].title);
    }
  }

  void opening() {
    for (const PageText& text : page_.texts) {
      if (text.section != 0) break;
      const size_t at = text.text.find(kRead);
      if (at != std::string::npos &&
          day_number(std::string_view(text.text).substr(at + kRead.size(), 10)))
        return;
    }
    say(page_.title_line, "the opening does not say \"{}YYYY-MM-DD\"; say it under the title",
        kRead);
  }

  void forms() {
    need("Decide", Kind::kRow, 2, "a table with a head and a row");
    need("Steps", Kind::kNumbered, 1, "a numbered step");
    need("When it fails", Kind::kRow, kMinFailures + 1, "a table with a head and five rows");
    need("Do, avoid", Kind::kItem, 2, "two lists");
  }

  // Every id that is used has an item in Sources, and the other way.
  void source_list() {
    std::set<std::string> listed;
    for (const PageText& text : page_.texts) {
      if (title_of(text.section) != "Sources") continue;
      const PageScan scan = scan_text(text.text);
      if (scan.tags.empty() || scan.tags[0].at != 0) {
        say(text.line, "not \"- [id] what it is used for\"; write it so");
        continue;
      }
      if (scan.tags[0].kind != PageTag::Kind::kSourced) continue;
      if (!listed.insert(scan.tags[0].id).second)
        say(text.line, "[{}] stands twice; keep one", scan.tags[0].id);
      if (used_.count(scan.tags[0].id) == 0)
        say(text.line, "[{}] is not used on the page; use it or take it out", scan.tags[0].id);
    }
    for (const std::string& id : used_) {
      if (listed.count(id) == 0) say(page_.lines, "[{}] is used but not in Sources; add it", id);
    }
  }

  void names_pages() {
    for (const std::string_view name : skill_pages()) {
      const bool found =
          std::any_of(page_.texts.begin(), page_.texts.end(), [&](const PageText& t) {
            return t.text.find(fmt::format("{}.md", name)) != std::string::npos;
          });
      if (!found) say(1, "{}.md is not named; route to it in a table", name);
    }
  }

 private:
  std::string_view title_of(size_t section) const { return page_.sections[section].title; }

  bool has_content(size_t section) const {
    return std::any_of(page_.texts.begin(), page_.texts.end(),
                       [&](const PageText& t) { return t.section == section; }) ||
           std::any_of(page_.blocks.begin(), page_.blocks.end(),
                       [&](const PageBlock& b) { return b.section == section; });
  }

  void need(std::string_view title, Kind kind, size_t least, std::string_view what) {
    size_t n = 0;
    for (const PageText& t : page_.texts)
      n += title_of(t.section) == title && t.kind == kind ? 1 : 0;
    const auto it = std::find_if(page_.sections.begin(), page_.sections.end(),
                                 [&](const PageSection& s) { return s.title == title; });
    if (it != page_.sections.end() && n < least)
      say(it->line, "section \"{}\" has not {}; add it", title, what);
  }

  void check_tag(const PageText& text, const PageTag& tag) {
    if (tag.kind == PageTag::Kind::kMeasured) {
      const std::string file = tag.id.substr(0, tag.id.find('#'));
      if (file.empty() || (rules_.has_file && !rules_.has_file(file)))
        say(text.line, "[measured: {}]: no such file in the repository; name one with the figure",
            tag.id);
      return;
    }
    if (tag.kind != PageTag::Kind::kSourced) return;
    if (title_of(text.section) != "Sources") used_.insert(tag.id);
    const Source* source = rules_.sources->find(tag.id);
    if (source == nullptr) {
      say(text.line, "[{}] is no source of the ledger; add it to data/sources.json or mend the id",
          tag.id);
    } else if (!tag.claim.empty() && source->claim(tag.claim) == nullptr) {
      say(text.line, "[{}#{}]: the source has no such claim; add it or mend the id", tag.id,
          tag.claim);
    }
  }

  void count(const PageText& text, const PageScan& scan, const PageNumber& number) {
    const PageTag* tag = scan.tag_of(number);
    if (tag == nullptr) {
      ++counts_.untagged;
      // One finding a text: the others hang on the same tag.
      if (number.at == scan.numbers.front().at)
        say(text.line,
            "the number {} has no tag; add [source-id], [measured: file] or [hypothesis], or put "
            "what is literal in `code`",
            number.text);
      return;
    }
    counts_.sourced += tag->kind == PageTag::Kind::kSourced ? 1 : 0;
    counts_.measured += tag->kind == PageTag::Kind::kMeasured ? 1 : 0;
    counts_.hypothesis += tag->kind == PageTag::Kind::kHypothesis ? 1 : 0;
  }

  const Page& page_;
  const PageRules& rules_;
  std::vector<PageFinding>& findings_;
  NumberCounts& counts_;
  std::set<std::string> used_;
};

}  // namespace

const std::vector<std::string_view>& page_sections() {
  static const std::vector<std::string_view> sections = {"When to use",   "Inputs",    "Decide",
                                                         "Steps",         "Configure", "Verify",
                                                         "When it fails", "Do, avoid", "Sources"};
  return sections;
}

void check_page(const Page& page, const PageRules& rules, std::vector<PageFinding>& findings,
                NumberCounts& counts) {
  Checker checker(page, rules, findings, counts);
  checker.length(rules.max_lines);
  checker.sections();
  checker.opening();
  checker.forms();
  checker.texts();
  checker.source_list();
}

void check_skill_page(const Page& page, const PageRules& rules, std::vector<PageFinding>& findings,
                      NumberCounts& counts) {
  Checker checker(page, rules, findings, counts);
  checker.length(kMaxSkillLines);
  if (const auto head = read_skill_head(page.front_matter); !head.ok())
    checker.say(1, "{}", head.error().message);
  checker.texts();
  checker.names_pages();
}

}  // namespace weir::ops
