#include "ops/brief/trends.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "config/key.h"
#include "ops/data/embedded.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

using config::Member;
using config::Node;

constexpr std::string_view kFile = "data/trends.yaml";
constexpr int kMaxFreshDays = 3650;

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Error at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

  // Every key of `node` is one of `keys`, and those of `needed` are there.
  Status keys(const Node& node, const std::vector<std::string>& keys,
              std::span<const std::string_view> needed) const {
    if (node.kind != Node::Kind::kMap) return at(node.line, "must be a map");
    for (const Member& m : node.members) {
      if (std::find(keys.begin(), keys.end(), m.key) == keys.end())
        return at(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key,
                                      config::nearest(m.key, keys)));
    }
    for (const std::string_view key : needed) {
      if (node.find(key) == nullptr) return at(node.line, fmt::format("{} is missing", key));
    }
    return {};
  }

  Result<std::string> text(const Node& node, std::string_view key) const {
    const Node* found = node.find(key);
    if (found == nullptr || found->kind != Node::Kind::kScalar || found->text.empty())
      return at(found == nullptr ? node.line : found->line, fmt::format("{} must be a text", key));
    return found->text;
  }

  Result<std::vector<std::string>> texts(const Node& node, std::string_view key) const {
    std::vector<std::string> out;
    const Node* found = node.find(key);
    if (found == nullptr) return out;
    if (found->kind != Node::Kind::kList)
      return at(found->line, fmt::format("{} must be a list of texts", key));
    for (const Node& item : found->items) {
      if (item.kind != Node::Kind::kScalar)
        return at(item.line, fmt::format("{} must be a list of texts", key));
      out.push_back(item.text);
    }
    return out;
  }

  Result<TrendKind> kind(const Node& node) const {
    constexpr std::array<std::string_view, 4> kNeeded = {"id", "title", "words", "searches"};
    WEIR_TRY(keys(node, {"id", "title", "words", "searches"}, kNeeded));
    TrendKind k;
    WEIR_ASSIGN(k.id, text(node, "id"));
    WEIR_ASSIGN(k.title, text(node, "title"));
    WEIR_ASSIGN(k.words, texts(node, "words"));
    WEIR_ASSIGN(k.searches, texts(node, "searches"));
    return k;
  }

  Result<TrendTopic> topic(const Node& node) const {
    constexpr std::array<std::string_view, 4> kNeeded = {"id", "title", "words", "fresh_days"};
    WEIR_TRY(keys(node,
                  {"id", "title", "words", "trees", "topics", "files", "fresh_days", "searches"},
                  kNeeded));
    TrendTopic t;
    WEIR_ASSIGN(t.id, text(node, "id"));
    WEIR_ASSIGN(t.title, text(node, "title"));
    WEIR_ASSIGN(t.words, texts(node, "words"));
    WEIR_ASSIGN(t.trees, texts(node, "trees"));
    WEIR_ASSIGN(t.source_topics, texts(node, "topics"));
    WEIR_ASSIGN(t.files, texts(node, "files"));
    WEIR_ASSIGN(t.searches, texts(node, "searches"));
    WEIR_ASSIGN(const std::string days, text(node, "fresh_days"));
    const auto read = std::from_chars(days.data(), days.data() + days.size(), t.fresh_days);
    if (read.ptr != days.data() + days.size() || t.fresh_days < 1 || t.fresh_days > kMaxFreshDays)
      return at(node.line,
                fmt::format("fresh_days must be an integer from 1 to {}", kMaxFreshDays));
    return t;
  }

 private:
  std::string_view name_;
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
}

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Small letters, digits and single blanks, one before and one behind: " vllm vs sglang ". What's is
// one word.
std::string plain(std::string_view text) {
  std::string out = " ";
  for (char c : text) {
    c = small(c);
    if (c == '\'') continue;
    if (is_word(c)) {
      out += c;
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

bool names_any(const std::string& question, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& w) {
    return question.find(plain(w)) != std::string::npos;
  });
}

// The question's words as written, without what stands around them.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  constexpr std::string_view kBlank = " \t\r\n";
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(kBlank), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    while (!word.empty() && !is_word(small(word.front()))) word.remove_prefix(1);
    while (!word.empty() && !is_word(small(word.back())) && word.back() != '+')
      word.remove_suffix(1);
    if (!word.empty()) out.emplace_back(word);
  }
  return out;
}

std::string joined(std::span<const std::string> words) {
  return fmt::format("{}", fmt::join(words, " "));
}

bool ignored(const std::string& word, const Trends& trends) {
  const std::string p = plain(word);
  return std::find(trends.ignore.begin(), trends.ignore.end(), p.substr(1, p.size() - 2)) !=
         trends.ignore.end();
}

// What stands before and behind "vs", up to the next word that says nothing.
void split_comparison(const std::vector<std::string>& words, const Trends& trends,
                      TrendQuestion& q) {
  constexpr std::array<std::string_view, 4> kBetween = {" vs ", " versus ", " or ", " than "};
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    if (std::find(kBetween.begin(), kBetween.end(), plain(words[i])) == kBetween.end()) continue;
    size_t from = i, to = i + 1;
    while (from > 0 && !ignored(words[from - 1], trends)) --from;
    while (to < words.size() && !ignored(words[to], trends)) ++to;
    if (from == i || to == i + 1) continue;
    q.x = joined(std::span(words).subspan(from, i - from));
    q.y = joined(std::span(words).subspan(i + 1, to - i - 1));
    return;
  }
}

std::string filled(std::string text, const TrendQuestion& q, int today) {
  constexpr std::array<std::string_view, 12> kMonths = {
      "January", "February", "March",     "April",   "May",      "June",
      "July",    "August",   "September", "October", "November", "December"};
  const std::string day = day_text(today);
  const int month = (day[5] - '0') * 10 + (day[6] - '0');
  const std::string year = day.substr(0, 4);
  for (const auto& [key, value] :
       {std::pair<std::string, std::string>{"{subject}", q.subject},
        {"{x}", q.x},
        {"{y}", q.y},
        {"{year}", year},
        {"{month}", fmt::format("{} {}", kMonths[static_cast<size_t>(month) - 1], year)}}) {
    for (size_t at = text.find(key); at != std::string::npos;
         at = text.find(key, at + value.size()))
      text.replace(at, key.size(), value);
  }
  return text;
}

}  // namespace

const TrendTopic* Trends::topic(std::string_view id) const {
  const auto it =
      std::find_if(topics.begin(), topics.end(), [&](const TrendTopic& t) { return t.id == id; });
  return it == topics.end() ? nullptr : &*it;
}

Result<Trends> parse_trends(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const Reader reader(name);
  constexpr std::array<std::string_view, 4> kNeeded = {"version", "ignore", "kinds", "topics"};
  WEIR_TRY(reader.keys(root, {"version", "ignore", "kinds", "topics"}, kNeeded));
  Trends out;
  WEIR_ASSIGN(out.ignore, reader.texts(root, "ignore"));
  for (const Node& node : root.find("kinds")->items) {
    WEIR_ASSIGN(TrendKind kind, reader.kind(node));
    out.kinds.push_back(std::move(kind));
  }
  for (const Node& node : root.find("topics")->items) {
    WEIR_ASSIGN(TrendTopic topic, reader.topic(node));
    if (out.topic(topic.id) != nullptr) return reader.at(node.line, topic.id + " stands twice");
    out.topics.push_back(std::move(topic));
  }
  if (out.kinds.empty() || out.topics.empty())
    return reader.at(root.line, "must have kinds and topics");
  return out;
}

Result<Trends> built_in_trends() { return parse_trends(embedded_file(kFile), kFile); }

TrendQuestion read_question(std::string_view text, const Trends& trends) {
  TrendQuestion q;
  q.text = text;
  const std::string question = plain(text);
  for (const TrendKind& kind : trends.kinds) {
    if (q.kind == nullptr && names_any(question, kind.words)) q.kind = &kind;
  }
  for (const TrendTopic& topic : trends.topics) {
    if (names_any(question, topic.words)) q.topics.push_back(&topic);
  }
  const std::vector<std::string> words = words_of(text);
  std::vector<std::string> kept;
  std::copy_if(words.begin(), words.end(), std::back_inserter(kept),
               [&](const std::string& w) { return !ignored(w, trends); });
  q.subject = joined(kept);
  q.x = q.y = q.subject;
  split_comparison(words, trends, q);
  return q;
}

std::vector<std::string> required_searches(const TrendQuestion& question, int today) {
  std::vector<std::string> out;
  const auto add = [&](const std::vector<std::string>& searches) {
    for (const std::string& s : searches) {
      std::string text = filled(s, question, today);
      if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
    }
  };
  if (question.kind != nullptr) add(question.kind->searches);
  for (const TrendTopic* topic : question.topics) add(topic->searches);
  return out;
}

}  // namespace weir::ops
