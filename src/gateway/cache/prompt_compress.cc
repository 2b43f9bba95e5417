#include <algorithm>
#include <numeric>
#include <utility>

#include "gateway/cache/prompt_budget.h"
#include "gateway/cache/sentences.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxSentences = 50'000;
// What a paragraph's first sentence and the newest message have ahead of others, where the best
// match has 1: enough to decide between sentences that match alike, too little to beat a match.
constexpr double kFirstBonus = 0.1;
constexpr double kRecentBonus = 0.05;
constexpr int kMaxTries = 16;

// A text of a message that may lose sentences: its string content, or one part of it.
struct Field {
  size_t message = 0;
  Json* text = nullptr;  // in the result
  std::string original;
  size_t offset = 0;  // of its first byte among the texts of its message
  size_t first = 0;   // of its sentences in Compressor::all_
  size_t last = 0;    // behind them
};

struct Candidate {
  size_t field = 0;
  Sentence place;
  double score = 0;
  int64_t tokens = 0;
  bool kept = false;
  bool fixed = false;  // a part of the question: stays in any case
};

class Compressor {
 public:
  Compressor(PromptBudgetResult& result, const PromptBudgetConfig& config,
             const TokenCounter& counter)
      : result_(result), config_(config), counter_(counter) {}

  Status run() {
    collect_fields();
    if (!collect_sentences())
      return too_long(fmt::format(": more than {} sentences are not compressed", kMaxSentences));
    score();
    // Each sentence by itself costs about what it costs in the text: the rest is found by trying,
    // from too much downwards.
    const int64_t fixed_tokens = tokens_without_candidates();
    int64_t room = config_.max_input_tokens - fixed_tokens;
    for (int tries = 0; tries < kMaxTries && room > 0; ++tries) {
      keep_best(room);
      write();
      result_.tokens_after = count_tokens(result_.messages, config_, counter_);
      const int64_t over = result_.tokens_after - config_.max_input_tokens;
      if (over <= 0) return note_spans();
      room -= std::max<int64_t>(over, 1);
    }
    keep_best(0);
    write();
    result_.tokens_after = count_tokens(result_.messages, config_, counter_);
    if (result_.tokens_after <= config_.max_input_tokens) return note_spans();
    return too_long(
        fmt::format(" after all was left out but system messages, tool calls and the question "
                    "({}): shorten those",
                    result_.tokens_after));
  }

 private:
  Error too_long(const std::string& why) const {
    return param_error(ErrorCode::kMaxInputTokensExceeded, "messages",
                       "the messages have about {} tokens and {} are taken (max_input_tokens){}",
                       result_.tokens_before, config_.max_input_tokens, why);
  }

  void add_field(size_t message, Json* text, size_t& offset) {
    if (text == nullptr || !text->is_string()) return;
    fields_.push_back({message, text, text->as_string(), offset});
    offset += text->size();
  }

  void collect_fields() {
    Json::Array& all = result_.messages.items();
    for (size_t i = 0; i < all.size(); ++i) {
      const Json* role = all[i].find("role");
      if (role == nullptr || *role == Json("system") || *role == Json("developer")) continue;
      if (*role == Json("user")) last_user_ = i;
      Json* content = all[i].find("content");
      size_t offset = 0;
      if (content == nullptr) continue;
      add_field(i, content, offset);
      if (!content->is_array()) continue;
      for (Json& part : content->items()) add_field(i, part.find("text"), offset);
    }
  }

  bool collect_sentences() {
    for (size_t f = 0; f < fields_.size(); ++f) {
      fields_[f].first = all_.size();
      for (const Sentence& s : split_sentences(fields_[f].original)) {
        if (all_.size() == kMaxSentences) return false;
        all_.push_back({f, s});
      }
      fields_[f].last = all_.size();
    }
    return true;
  }

  std::string_view text_of(const Candidate& c) const {
    return std::string_view(fields_[c.field].original)
        .substr(c.place.begin, c.place.end - c.place.begin);
  }

  // The question: first and last sentence of the last user message, where people put what they
  // want.
  void score() {
    std::string query;
    size_t first = all_.size();
    size_t last = all_.size();
    for (size_t i = 0; i < all_.size(); ++i) {
      if (fields_[all_[i].field].message != last_user_) continue;
      if (first == all_.size()) first = i;
      last = i;
    }
    for (const size_t i : {first, last}) {
      if (i == all_.size()) continue;
      all_[i].fixed = true;
      query += text_of(all_[i]);
      query += '\n';
    }
    std::vector<std::string_view> texts;
    texts.reserve(all_.size());
    for (const Candidate& c : all_) texts.push_back(text_of(c));
    const std::vector<double> match = bm25_scores(texts, query);
    const auto messages = static_cast<double>(std::max<size_t>(result_.messages.size(), 1));
    for (size_t i = 0; i < all_.size(); ++i) {
      const auto message = static_cast<double>(fields_[all_[i].field].message);
      all_[i].tokens = tokens(texts[i]);
      all_[i].score = match[i] + (all_[i].place.starts_paragraph ? kFirstBonus : 0) +
                      kRecentBonus * message / messages;
    }
    order_.resize(all_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return all_[a].score > all_[b].score; });
  }

  int64_t tokens(std::string_view text) const {
    Json message = Json::object();
    message.set("content", text);
    Json one = Json::array();
    one.push_back(std::move(message));
    return count_tokens(one, config_, counter_) - config_.message_tokens;
  }

  int64_t tokens_without_candidates() {
    for (Candidate& c : all_) c.kept = c.fixed;
    write();
    return count_tokens(result_.messages, config_, counter_);
  }

  // The best that fit into `room` tokens beside the fixed ones.
  void keep_best(int64_t room) {
    for (Candidate& c : all_) c.kept = c.fixed;
    for (const size_t i : order_) {
      if (all_[i].kept) continue;
      if (all_[i].tokens > room) continue;
      room -= all_[i].tokens;
      all_[i].kept = true;
    }
  }

  // Runs of kept sentences as they stand in the text, the spaces between them included.
  std::vector<std::pair<size_t, size_t>> runs_of(const Field& field) const {
    std::vector<std::pair<size_t, size_t>> runs;
    bool goes_on = false;
    for (size_t i = field.first; i < field.last; ++i) {
      const Candidate& c = all_[i];
      if (c.kept && goes_on) {
        runs.back().second = c.place.end;
      } else if (c.kept) {
        runs.emplace_back(c.place.begin, c.place.end);
      }
      goes_on = c.kept;
    }
    return runs;
  }

  void write() {
    for (const Field& f : fields_) *f.text = is_whole(f) ? f.original : shortened(f);
  }

  bool is_whole(const Field& f) const {
    return std::all_of(all_.begin() + static_cast<long>(f.first),
                       all_.begin() + static_cast<long>(f.last),
                       [](const Candidate& c) { return c.kept; });
  }

  std::string shortened(const Field& f) const {
    const std::string_view text = f.original;
    std::string out;
    size_t end = 0;  // of what was written
    for (const auto& [begin, run_end] : runs_of(f)) {
      // Spaces in front of the first sentence leave nothing out.
      const bool gap =
          text.substr(end, begin - end).find_first_not_of(" \t\r\n") != std::string_view::npos;
      if (gap) out += kGap;
      out += text.substr(begin, run_end - begin);
      end = run_end;
    }
    if (text.find_first_not_of(" \t\r\n", end) != std::string_view::npos) out += kGap;
    return out;
  }

  Status note_spans() {
    for (const Field& f : fields_) {
      if (is_whole(f)) continue;
      for (const auto& [begin, end] : runs_of(f))
        result_.spans.push_back({f.message, f.offset + begin, f.offset + end});
    }
    return {};
  }

  PromptBudgetResult& result_;
  const PromptBudgetConfig& config_;
  const TokenCounter& counter_;
  size_t last_user_ = SIZE_MAX;
  std::vector<Field> fields_;
  std::vector<Candidate> all_;  // in the order of the text
  std::vector<size_t> order_;   // the best first
};

}  // namespace

Status compress_prompt(PromptBudgetResult& result, const PromptBudgetConfig& config,
                       const TokenCounter& counter) {
  return Compressor(result, config, counter).run();
}

}  // namespace weir::gateway
