// nginx and HAProxy files, word by word: only directives that a review asks for.
#include <algorithm>
#include <charconv>
#include <map>

#include "ops/review/env_config.h"

namespace weir::ops {
namespace {

using Words = std::vector<std::string_view>;

// A directive a line (HAProxy) or a statement (nginx: up to ";", "{" or "}"), without comments.
// Of nginx a "{" at the end of the words opens a block, and "}" alone closes one.
std::vector<Words> directives(std::string_view text, bool nginx) {
  std::vector<Words> out;
  Words words;
  const auto end = [&] {
    if (!words.empty()) out.push_back(std::exchange(words, {}));
  };
  size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && nginx)) {
      ++at;
    } else if (c == '\n' || (nginx && (c == ';' || c == '{' || c == '}'))) {
      if (c == '{') words.push_back(text.substr(at, 1));
      end();
      if (c == '}') out.push_back({text.substr(at, 1)});
      ++at;
    } else {
      const size_t stop =
          std::min(text.find_first_of(nginx ? " \t\r\n;{}" : " \t\r\n", at), text.size());
      words.push_back(text.substr(at, stop - at));
      at = stop;
    }
  }
  end();
  return out;
}

std::optional<int64_t> whole(std::string_view text) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool has_word(const Words& words, std::string_view word) {
  return std::find(words.begin() + 1, words.end(), word) != words.end();
}

// What a block of nginx says of trying again; what it does not say it takes from the one around it,
// wherever that says it.
struct NginxBlock {
  size_t around = 0;  // its index; of the file itself 0
  bool passes = false;
  std::optional<bool> off;
  std::optional<int64_t> tries;
};

// The attempts of a block; nullopt: as many as the group has servers.
std::optional<int64_t> attempts_of(const std::vector<NginxBlock>& blocks, size_t at) {
  std::optional<bool> off;
  std::optional<int64_t> tries;
  while (true) {
    if (!off) off = blocks[at].off;
    if (!tries) tries = blocks[at].tries;
    if (at == 0) break;
    at = blocks[at].around;
  }
  if (off.value_or(false)) return 1;
  return tries.value_or(0) > 0 ? tries : std::nullopt;
}

// Of the blocks that pass requests on the one that tries most; where none does (a file that others
// include) of those that say something.
void set_attempts(const std::vector<NginxBlock>& blocks, ProxyUse& out) {
  const bool passes =
      std::any_of(blocks.begin(), blocks.end(), [](const auto& b) { return b.passes; });
  for (size_t i = 0; i < blocks.size(); ++i) {
    const NginxBlock& b = blocks[i];
    if (passes ? !b.passes : !b.off && !b.tries) continue;
    const std::optional<int64_t> attempts = attempts_of(blocks, i);
    if (attempts) out.attempts = std::max(*attempts, out.attempts.value_or(0));
    // Its default tries every server of the group once, whatever their number.
    if (!attempts) out.unbounded_retries = out.unbounded_retries || passes;
  }
}

ProxyUse nginx_of(const EnvFile& file) {
  ProxyUse out;
  out.file = file.path;
  out.kind = "nginx";
  std::vector<NginxBlock> blocks(1);
  size_t at = 0;
  for (const Words& w : directives(file.text, true)) {
    const std::string_view name = w.front();
    if (name == "}") {
      at = blocks[at].around;
    } else if (w.back() == "{") {
      blocks.push_back({at, false, std::nullopt, std::nullopt});
      at = blocks.size() - 1;
    }
    if (name == "proxy_pass" || name == "grpc_pass") blocks[at].passes = true;
    if (name == "limit_conn" || name == "limit_req") out.bounds_requests = true;
    for (const std::string_view word : w) {
      if (name == "server" && word.starts_with("max_conns=")) out.bounds_requests = true;
    }
    if (name == "ssl_certificate" || (name == "listen" && has_word(w, "ssl"))) out.tls = true;
    if (name == "proxy_next_upstream" || name == "grpc_next_upstream")
      blocks[at].off = has_word(w, "off");
    if ((name == "proxy_next_upstream_tries" || name == "grpc_next_upstream_tries") && w.size() > 1)
      blocks[at].tries = whole(w[1]).value_or(0);
    if (name == "proxy_cache" && w.size() > 1 && w[1] != "off") out.caches = true;
    if (name == "proxy_cache_valid") out.cache_expires = true;
  }
  set_attempts(blocks, out);
  return out;
}

ProxyUse haproxy_of(const EnvFile& file) {
  constexpr int64_t kDefault = 3;  // its own
  ProxyUse out;
  out.file = file.path;
  out.kind = "haproxy";
  int64_t defaults = kDefault;
  std::map<std::string_view, int64_t> named;  // defaults that backends name
  int64_t* now = nullptr;                     // of the section that is read; nullptr: none counts
  std::vector<int64_t> sections;              // backends
  std::string_view defaults_name;
  for (const Words& w : directives(file.text, false)) {
    const std::string_view name = w.front();
    const auto from = std::find(w.begin(), w.end(), "from");
    const bool takes = from != w.end() && from + 1 != w.end();
    const auto base = takes ? named.find(from[1]) : named.end();
    const int64_t inherited = base == named.end() ? defaults : base->second;
    if (name == "defaults") {
      defaults = takes ? inherited : kDefault;
      defaults_name = w.size() > 1 && w[1] != "from" ? w[1] : "";
      named[defaults_name] = defaults;
      now = &defaults;
    } else if (name == "backend" || name == "listen") {
      sections.push_back(inherited);
      now = &sections.back();
    } else if (name == "frontend" || name == "global") {
      now = nullptr;
    }
    if (name == "retries" && w.size() > 1 && now != nullptr) *now = whole(w[1]).value_or(*now);
    if (now == &defaults) named[defaults_name] = defaults;
    if ((name == "server" || name == "default-server") && has_word(w, "maxconn"))
      out.bounds_requests = true;
    if (name == "bind" && has_word(w, "ssl")) out.tls = true;
    if (name == "http-request" && has_word(w, "cache-use")) out.caches = true;
    if (name == "max-age") out.cache_expires = true;
  }
  out.attempts =
      1 + (sections.empty() ? defaults : *std::max_element(sections.begin(), sections.end()));
  return out;
}

}  // namespace

std::optional<ProxyUse> read_proxy(const EnvFile& file) {
  const std::string& path = file.path;
  const bool named = path.find("haproxy") != std::string::npos || path.ends_with(".cfg");
  if (named && file.text.find("backend") != std::string::npos) return haproxy_of(file);
  const bool nginx = path.find("nginx") != std::string::npos || path.ends_with(".conf");
  if (nginx && (file.text.find("server") != std::string::npos ||
                file.text.find("proxy_") != std::string::npos))
    return nginx_of(file);
  return std::nullopt;
}

}  // namespace weir::ops
