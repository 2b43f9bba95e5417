#include "ops/sources/online.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "ops/sources/days.h"

namespace weir::ops {
namespace {

constexpr std::array<std::string_view, 7> kStates = {"fine",    "moved",  "changed",    "gone",
                                                     "refused", "broken", "unreachable"};
constexpr int kMaxRedirects = 5;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Of a last answer that is no redirect.
void judge(const Source& source, bool moved, OnlineAnswer& a) {
  if (a.status >= 200 && a.status < 300) {
    a.state = moved ? OnlineState::kMoved : OnlineState::kFine;
    a.what = moved ? fmt::format("has moved to {}", a.address) : "";
    if (!moved && !a.last_modified.empty() && a.last_modified > source.accessed) {
      a.state = OnlineState::kChanged;
      a.what =
          fmt::format("changed on {}, after it was read on {}", a.last_modified, source.accessed);
    }
    return;
  }
  a.what = fmt::format("answers {}", a.status);
  a.state = a.status == 404 || a.status == 410  ? OnlineState::kGone
            : a.status >= 400 && a.status < 500 ? OnlineState::kRefused
                                                : OnlineState::kBroken;
}

}  // namespace

std::string_view online_state_name(OnlineState state) {
  return kStates[static_cast<size_t>(state)];
}

std::string http_day(std::string_view date) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  // RFC 9110's IMF-fixdate.
  if (date.size() < 17 || date[3] != ',' || date[7] != ' ' || date[11] != ' ') return "";
  const auto* month = std::find(kMonths.begin(), kMonths.end(), date.substr(8, 3));
  if (month == kMonths.end()) return "";
  std::string day = fmt::format("{}-{:02}-{}", date.substr(12, 4), month - kMonths.begin() + 1,
                                date.substr(5, 2));
  return day_number(day) ? day : "";
}

OnlineAnswer check_address(const Source& source, const OnlineAsk& ask) {
  OnlineAnswer out;
  out.address = source.url;
  const char* method = "HEAD";
  bool moved = false;
  for (int redirects = 0;;) {
    const auto response = ask(out.address, method);
    if (!response.ok()) {
      out.state = response.error().code == ErrorCode::kIo ? OnlineState::kUnreachable
                                                          : OnlineState::kBroken;
      out.what = response.error().message;
      return out;
    }
    out.status = response->status;
    if (is_redirect(out.status)) {
      const auto url = http::parse_https_url(out.address);
      const auto location = response->headers.find("Location");
      if (!url.ok() || !location || ++redirects > kMaxRedirects) {
        out.state = OnlineState::kBroken;
        out.what = location ? fmt::format("redirects more than {} times", kMaxRedirects)
                            : fmt::format("answers {} without saying where to", out.status);
        return out;
      }
      auto next = http::resolve_location(*url, *location);
      if (!next.ok()) {
        out.state = OnlineState::kBroken;
        out.what = "redirects to what is no https address";
        return out;
      }
      moved = moved || out.status == 301 || out.status == 308;
      out.address = std::move(*next);
      continue;
    }
    // Many servers answer HEAD with an error and GET with the page.
    if (out.status >= 400 && out.status != 404 && out.status != 410 && method[0] == 'H') {
      method = "GET";
      continue;
    }
    const auto modified = response->headers.find("Last-Modified");
    if (modified) out.last_modified = http_day(*modified);
    judge(source, moved, out);
    return out;
  }
}

std::vector<OnlineAnswer> check_online(std::span<const Source* const> sources,
                                       const OnlineOptions& options) {
  std::vector<OnlineAnswer> out(sources.size());
  const OnlineAsk ask = [&](const std::string& address,
                            const char* method) -> Result<http::Response> {
    WEIR_ASSIGN(const http::HttpsUrl url, http::parse_https_url(address));
    return http::https_head(url, method, options.trust, options.timeout);
  };
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  const size_t count = std::min(std::max<size_t>(options.at_once, 1), sources.size());
  threads.reserve(count);
  for (size_t t = 0; t < count; ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < sources.size(); i = next++)
        out[i] = check_address(*sources[i], ask);
    });
  }
  for (std::thread& t : threads) t.join();
  return out;
}

}  // namespace weir::ops
