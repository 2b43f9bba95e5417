#include "ops/eval/remote_run.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/eval/accuracy.h"
#include "ops/eval/answer_cache.h"
#include "ops/eval/answer_score.h"
#include "ops/eval/choice_score.h"
#include "ops/eval/needle.h"
#include "ops/eval/run_kind.h"

namespace weir::ops {
namespace {

// Where the server counts no tokens. English has some 4 bytes a token under vocabularies of 32k to
// 256k words.
constexpr size_t kBytesPerToken = 4;

// The requests of one item of multiple choice: its prompt alone, then each choice.
struct Choices {
  const ChoiceItem* item = nullptr;
  int32_t context_tokens = 0;
  std::vector<std::vector<double>> logprobs;  // of each choice
  size_t missing = 0;                         // replies
};

class RemoteRun {
 public:
  RemoteRun(const RemoteRunner& with, const LoadedTask& loaded, RunCost& cost)
      : with_(with),
        task_(loaded.task),
        loaded_(loaded),
        cost_(cost),
        fingerprint_(with.fingerprint()) {}

  Result<EvalTask> choices() {
    std::vector<std::optional<EvalItem>> items;
    std::vector<size_t> open;
    for (const ChoiceItem& item : loaded_.choices) {
      items.push_back(cached_choice(with_.cache, fingerprint_, item));
      if (items.back()) continue;
      if (choice_context(item).empty()) {
        return make_error(ErrorCode::kInvalidValue, "item {}: its prompt is empty", item.id);
      }
      open.push_back(items.size() - 1);
    }
    count(items.size(), open.size());
    WEIR_TRY(ask_choices(open, items));
    std::vector<EvalItem> all;
    all.reserve(items.size());
    for (std::optional<EvalItem>& item : items) all.push_back(std::move(*item));
    return accuracy_task(task_, std::move(all));
  }

  Result<EvalTask> generate() {
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(loaded_.items));
    return score_answers(task_, loaded_.items, answers);
  }

  Result<EvalTask> code() {
    if (!with_.run_code) return code_not_allowed(task_);
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(loaded_.items));
    return score_code_answers(task_, loaded_.items, answers, with_.run_code, with_.progress);
  }

  Result<EvalTask> retrieval() {
    WEIR_ASSIGN(const std::vector<GenerateItem> items, needles());
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(items));
    return score_needles(task_, items, answers);
  }

  // One after the other, and then as many together as the run may. Never out of the cache.
  Result<EvalTask> determinism() {
    const std::vector<GenerateItem>& items = loaded_.items;
    count(items.size(), items.size());
    const std::vector<RemoteRequest> requests = requests_of(items);
    std::vector<Generated> alone(items.size());
    std::vector<Generated> crowd(items.size());
    int64_t done = 0;
    for (auto& [answers, at_once] : {std::pair{&alone, size_t{1}}, {&crowd, with_.parallel}}) {
      const auto keep = [&, to = answers](size_t i, const std::string& body) -> Status {
        WEIR_ASSIGN((*to)[i], read_answer(items[i], body));
        if (with_.progress) with_.progress(++done, static_cast<int64_t>(2 * items.size()));
        return {};
      };
      WEIR_TRY(with_.client.post_all(requests, at_once, keep));
    }
    return score_same(task_, items, alone, crowd);
  }

 private:
  void count(size_t all, size_t open) {
    cost_.computed_items += static_cast<int64_t>(open);
    cost_.cached_items += static_cast<int64_t>(all - open);
  }

  Status ask_choices(const std::vector<size_t>& open, std::vector<std::optional<EvalItem>>& items) {
    std::vector<RemoteRequest> requests;
    std::vector<std::pair<size_t, size_t>> places;  // of `open`, and 0 or 1 + choice
    std::vector<Choices> asked(open.size());
    for (size_t i = 0; i < open.size(); ++i) {
      const ChoiceItem& item = loaded_.choices[open[i]];
      asked[i] = {&item, 0, std::vector<std::vector<double>>(item.choices.size()),
                  item.choices.size() + 1};
      requests.push_back(context_request(with_.shape, item));
      places.emplace_back(i, 0);
      for (size_t c = 0; c < item.choices.size(); ++c) {
        requests.push_back(choice_request(with_.shape, item, c));
        places.emplace_back(i, c + 1);
      }
    }
    int64_t done = 0;
    const auto keep = [&](size_t r, const std::string& body) -> Status {
      const auto [i, part] = places[r];
      const Status read = read_choice(asked[i], part, body);
      if (!read.ok()) return read.error().with_context(at_item(requests[r].id));
      if (--asked[i].missing > 0) return {};
      auto scored = score(asked[i]);
      if (!scored.ok()) return scored.error().with_context(at_item(requests[r].id));
      WEIR_TRY(keep_choice(with_.cache, fingerprint_, task_.name, *asked[i].item, *scored));
      items[open[i]] = std::move(*scored);
      asked[i].logprobs.clear();
      if (with_.progress) with_.progress(++done, static_cast<int64_t>(open.size()));
      return {};
    };
    return with_.client.post_all(requests, with_.parallel, keep);
  }

  Status read_choice(Choices& to, size_t part, const std::string& body) {
    if (part == 0) {
      WEIR_ASSIGN(to.context_tokens, parse_prompt_tokens(body));
      cost_.prompt_tokens += to.context_tokens;
      return {};
    }
    WEIR_ASSIGN(to.logprobs[part - 1], parse_prompt_logprobs(body));
    cost_.prompt_tokens += static_cast<int64_t>(to.logprobs[part - 1].size());
    return {};
  }

  static Result<EvalItem> score(const Choices& of) {
    std::vector<double> sums;
    for (const std::vector<double>& logprobs : of.logprobs) {
      WEIR_ASSIGN(const double sum, choice_log_likelihood(logprobs, of.context_tokens));
      sums.push_back(sum);
    }
    return scored_choice(*of.item, sums);
  }

  std::vector<RemoteRequest> requests_of(std::span<const GenerateItem> items) const {
    std::vector<RemoteRequest> requests;
    for (const GenerateItem& item : items)
      requests.push_back(answer_request(with_.shape, task_, item));
    return requests;
  }

  Result<Generated> read_answer(const GenerateItem& item, const std::string& body) {
    Result<Generated> answer = task_.chat ? parse_chat_reply(body) : parse_completion_reply(body);
    if (!answer.ok()) return answer.error().with_context(at_item(item.id));
    cost_.prompt_tokens += answer->prompt_tokens;
    cost_.generated_tokens += answer->tokens;
    return answer;
  }

  // Who answered what, for errors.
  std::string at_item(const std::string& id) const {
    return fmt::format("item {}: {}", id, with_.client.server().url.authority());
  }

  std::string answer_key(const RemoteRequest& r) const {
    const std::vector<std::string> parts = {fingerprint_, "answer", r.path, r.body};
    return cache_key(parts);
  }

  // Of the cache, and of the server for the others.
  Result<std::vector<Generated>> answer(const std::vector<GenerateItem>& items) {
    const std::vector<RemoteRequest> requests = requests_of(items);
    std::vector<std::string> keys;
    keys.reserve(requests.size());
    for (const RemoteRequest& r : requests) keys.push_back(answer_key(r));
    std::vector<Generated> answers(keys.size());
    const std::vector<size_t> places = take_cached(with_.cache, keys, answers);
    std::vector<RemoteRequest> open;
    open.reserve(places.size());
    for (const size_t i : places) open.push_back(requests[i]);
    count(items.size(), open.size());
    int64_t done = 0;
    const auto keep = [&](size_t i, const std::string& body) -> Status {
      WEIR_ASSIGN(const Generated got, read_answer(items[places[i]], body));
      answers[places[i]] = got;
      if (with_.progress) with_.progress(++done, static_cast<int64_t>(open.size()));
      return keep_answer(with_.cache, keys[places[i]], task_.name, open[i].id, got);
    };
    WEIR_TRY(with_.client.post_all(open, with_.parallel, keep));
    return answers;
  }

  void notice(const std::string& what) const {
    if (with_.notice) with_.notice(fmt::format("task {}: {}", task_.name, what));
  }

  // Those that fit the window, in the server's tokens.
  Result<std::vector<GenerateItem>> needles() const {
    std::optional<Error> failed;
    auto items = needles_in_window(
        task_, loaded_.haystack, with_.window_tokens, "", [&] { return token_count(failed); },
        with_.notice);
    if (failed) return failed->with_context("task " + task_.name);
    return items;
  }

  // By the server's /tokenize, or where it has none by bytes. After a failure it counts nothing,
  // which ends the search for a length soon.
  TokenCount token_count(std::optional<Error>& failed) const {
    const auto ask = [this](const std::string& text) -> Result<size_t> {
      WEIR_ASSIGN(const std::string body, with_.client.post(count_request(with_.shape, text)));
      return parse_token_count(body);
    };
    const Result<size_t> first = ask("one two three");
    if (!first.ok() || *first == 0) {
      notice(
          fmt::format("the server counts no tokens (/tokenize): lengths are those of {} bytes a "
                      "token",
                      kBytesPerToken));
      return [](std::string_view text) { return text.size() / kBytesPerToken; };
    }
    return [ask, &failed](std::string_view text) -> size_t {
      if (failed) return 0;
      const Result<size_t> count = ask(std::string(text));
      if (count.ok()) return *count;
      failed = count.error();
      return 0;
    };
  }

  const RemoteRunner& with_;
  const SuiteTask& task_;
  const LoadedTask& loaded_;
  RunCost& cost_;
  const std::string fingerprint_;
};

}  // namespace

std::string RemoteRunner::fingerprint() const {
  const http::Url& url = client.server().url;
  return fmt::format("url http://{}{} {} {}", url.authority(), url.path, shape.model,
                     shape.extra.dump());
}

Result<ServedModel> find_remote_model(RemoteClient& client, const std::string& wanted) {
  const auto body = client.get("/v1/models");
  const bool unreachable = !body.ok() && body.error().code == ErrorCode::kServerOverloaded;
  if (!body.ok() && (wanted.empty() || unreachable)) return body.error();
  if (!body.ok()) return ServedModel{wanted, std::nullopt};
  auto found = parse_models_reply(*body, wanted);
  if (!found.ok()) return found.error().with_context(client.server().url.authority());
  return found;
}

Result<EvalTask> run_remote_task(const RemoteRunner& with, const LoadedTask& task, RunCost& cost) {
  RemoteRun run(with, task, cost);
  return run_kind(run, task.task.kind);
}

}  // namespace weir::ops
