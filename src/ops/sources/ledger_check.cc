#include "ops/sources/ledger_check.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "ops/sources/days.h"

namespace weir::ops {
namespace {

constexpr std::array<std::string_view, 3> kSeverities = {"error", "warning", "hint"};

// Without what does not change which page, or section of it, it is.
std::string plain_url(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string out(url);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

// The first day that `published` may mean.
int first_day(const std::string& published) {
  constexpr std::string_view kRest = "0000-01-01";
  return *day_number(published + std::string(kRest.substr(published.size())));
}

class Checker {
 public:
  explicit Checker(int today) : today_(today) {}

  void source(const Source& s) {
    const int accessed = *day_number(s.accessed), review = *day_number(s.review_by);
    const auto say = [&](LedgerSeverity severity, std::string what) {
      out.push_back({severity, s.id, std::move(what)});
    };
    if (accessed > today_)
      say(LedgerSeverity::kError, fmt::format("was read on {}, which is ahead", s.accessed));
    if (!s.published.empty() && first_day(s.published) > accessed) {
      say(LedgerSeverity::kError,
          fmt::format("was published on {}, after it was read on {}", s.published, s.accessed));
    }
    if (review <= accessed) {
      say(LedgerSeverity::kError,
          fmt::format("review_by {} is not after accessed {}", s.review_by, s.accessed));
    }
    if (review - accessed > stale_days(s.kind) + 1) {
      say(LedgerSeverity::kWarning,
          fmt::format("review_by {} is {} days after it was read; of kind {} {} at most",
                      s.review_by, review - accessed, s.kind, stale_days(s.kind)));
    }
    if (s.claims.empty()) say(LedgerSeverity::kWarning, "claims nothing");
    for (const SourceClaim& c : s.claims) {
      if (c.read && !s.verified) {
        say(LedgerSeverity::kWarning,
            fmt::format("claim {} is said to be read, the source is not verified", c.id));
      }
    }
    const auto [known, fresh] = urls_.emplace(plain_url(s.url), s.id);
    if (!fresh)
      say(LedgerSeverity::kWarning, fmt::format("has the same address as {}", known->second));
  }

  void citation(const Sources& sources, const Citation& c) {
    const Source* s = sources.find(c.id);
    if (s == nullptr) {
      out.push_back(
          {LedgerSeverity::kError, c.where, fmt::format("cites {}, which is not there", c.id)});
    } else if (!c.claim.empty() && s->claim(c.claim) == nullptr) {
      out.push_back(
          {LedgerSeverity::kError, c.where,
           fmt::format("cites claim {} of {}, which has none of that name", c.claim, c.id)});
    }
  }

  std::vector<LedgerFinding> out;

 private:
  int today_;
  std::map<std::string, std::string> urls_;  // to the id
};

}  // namespace

std::string_view ledger_severity_name(LedgerSeverity severity) {
  return kSeverities[static_cast<size_t>(severity)];
}

std::vector<LedgerFinding> check_ledger(const Sources& sources, std::span<const Citation> citations,
                                        int today) {
  Checker checker(today);
  std::set<std::string_view> cited;
  for (const Citation& c : citations) {
    checker.citation(sources, c);
    cited.insert(c.id);
  }
  for (const Source& s : sources.all) {
    checker.source(s);
    if (!cited.contains(s.id))
      checker.out.push_back({LedgerSeverity::kHint, s.id, "nothing cites it"});
  }
  std::stable_sort(
      checker.out.begin(), checker.out.end(),
      [](const LedgerFinding& a, const LedgerFinding& b) { return a.severity < b.severity; });
  return std::move(checker.out);
}

std::vector<DueSource> due_sources(const Sources& sources, int today) {
  std::vector<DueSource> out;
  for (const Source& s : sources.all) {
    const int age = today - *day_number(s.accessed);
    const int late = today - *day_number(s.review_by);
    const int stale = age - stale_days(s.kind);
    if (late <= 0 && stale <= 0) continue;
    DueSource due{&s, age, std::max(late, stale), ""};
    due.why = late >= stale ? fmt::format("its review was due on {}", s.review_by)
                            : fmt::format("read {} days ago; kind {}: {} at most", age, s.kind,
                                          stale_days(s.kind));
    out.push_back(std::move(due));
  }
  std::stable_sort(out.begin(), out.end(), [](const DueSource& a, const DueSource& b) {
    return a.overdue_days > b.overdue_days;
  });
  return out;
}

}  // namespace weir::ops
