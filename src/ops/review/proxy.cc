// nginx and HAProxy files, word by word: only directives that a review asks for.
#include <algorithm>
#include <charconv>

#include "ops/review/env_config.h"

namespace weir::ops {
namespace {

using Words = std::vector<std::string_view>;

// A directive a line (HAProxy) or a statement (nginx: up to ";", "{" or "}"), without comments.
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
      end();
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

ProxyUse nginx_of(const EnvFile& file) {
  ProxyUse out;
  out.file = file.path;
  out.kind = "nginx";
  bool next_upstream_off = false;
  bool passes = false;
  std::optional<int64_t> tries;
  for (const Words& w : directives(file.text, true)) {
    const std::string_view name = w.front();
    passes = passes || name == "proxy_pass" || name == "grpc_pass";
    if (name == "limit_conn" || name == "limit_req") out.bounds_requests = true;
    for (const std::string_view word : w) {
      if (name == "server" && word.starts_with("max_conns=")) out.bounds_requests = true;
    }
    if (name == "ssl_certificate" || (name == "listen" && has_word(w, "ssl"))) out.tls = true;
    if (name == "proxy_next_upstream" && has_word(w, "off")) next_upstream_off = true;
    if (name == "proxy_next_upstream_tries" && w.size() > 1) tries = whole(w[1]);
    if (name == "proxy_cache" && w.size() > 1 && w[1] != "off") out.caches = true;
    if (name == "proxy_cache_valid") out.cache_expires = true;
  }
  // Its default tries every server of the group once, whatever their number.
  if (next_upstream_off) {
    out.attempts = 1;
  } else if (tries && *tries > 0) {
    out.attempts = tries;
  } else {
    out.unbounded_retries = passes;
  }
  return out;
}

ProxyUse haproxy_of(const EnvFile& file) {
  ProxyUse out;
  out.file = file.path;
  out.kind = "haproxy";
  int64_t retries = 3;  // its default
  for (const Words& w : directives(file.text, false)) {
    const std::string_view name = w.front();
    if (name == "retries" && w.size() > 1) retries = whole(w[1]).value_or(retries);
    if ((name == "server" || name == "default-server") && has_word(w, "maxconn"))
      out.bounds_requests = true;
    if (name == "bind" && has_word(w, "ssl")) out.tls = true;
    if (name == "http-request" && has_word(w, "cache-use")) out.caches = true;
    if (name == "max-age") out.cache_expires = true;
  }
  out.attempts = retries + 1;
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
