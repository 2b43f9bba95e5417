// weir cache eval: what a threshold of the gateway's semantic cache costs in wrong answers.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/ops_commands.h"
#include "gateway/cache/semantic_eval.h"
#include "http/client.h"
#include "http/tls_client.h"
#include "http/url.h"
#include "os/file.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr int kExitInconclusive = 4;  // as weir eval compare
constexpr size_t kBatch = 32;         // texts of a request
constexpr std::chrono::milliseconds kRequestTimeout{120'000};

struct Options {
  std::string pairs, url, model, key_env;
  double most = 0.01;
  bool json = false;
};

// Asks /v1/embeddings of any server of OpenAI's kind.
class RemoteEmbedder {
 public:
  static Result<RemoteEmbedder> make(const Options& o) {
    RemoteEmbedder made;
    WEIR_ASSIGN(made.url_, http::parse_http_or_https_url(o.url));
    if (made.url_.tls) {
      WEIR_ASSIGN(made.tls_, http::TlsClientContext::load({}));
    }
    if (!o.key_env.empty()) {
      const char* key = std::getenv(o.key_env.c_str());
      if (key == nullptr)
        return make_error(ErrorCode::kUsage, "--key-env: the variable {} is not set", o.key_env);
      made.key_ = key;
    }
    made.model_ = o.model;
    WEIR_ASSIGN(made.client_, http::Client::start({}));
    return made;
  }

  Result<std::vector<std::vector<float>>> operator()(const std::vector<std::string>& texts) {
    std::vector<std::vector<float>> all;
    for (size_t i = 0; i < texts.size(); i += kBatch) {
      const size_t n = std::min(kBatch, texts.size() - i);
      const auto begin = texts.begin() + static_cast<ptrdiff_t>(i);
      WEIR_ASSIGN(auto some, ask({begin, begin + static_cast<ptrdiff_t>(n)}));
      for (std::vector<float>& v : some) all.push_back(std::move(v));
    }
    return all;
  }

 private:
  RemoteEmbedder() = default;
  Result<std::vector<std::vector<float>>> ask(const std::vector<std::string>& texts) {
    http::ClientRequest r;
    r.url = url_;
    r.tls = tls_;
    r.method = "POST";
    r.target = "/v1/embeddings";
    r.headers.set("Content-Type", "application/json");
    if (!key_.empty()) r.headers.set("Authorization", "Bearer " + key_);
    r.body = gateway::embeddings_request(model_, texts);
    r.timeouts.total = kRequestTimeout;
    WEIR_ASSIGN(const http::Response answer, http::fetch(*client_, std::move(r)));
    if (answer.status != 200)
      return make_error(ErrorCode::kIo, "/v1/embeddings answered with status {}: {}", answer.status,
                        answer.body.substr(0, 300));
    return gateway::read_embeddings(answer.body, texts.size());
  }

  http::Url url_;
  std::shared_ptr<const http::TlsClientContext> tls_;  // shared with the client's connections
  std::string key_, model_;
  std::unique_ptr<http::Client> client_;
};

Result<int> evaluate(const Options& o) {
  if (o.url.empty() != o.model.empty())
    return make_error(ErrorCode::kUsage, "--url and --model belong together");
  WEIR_ASSIGN(const std::string lines, os::read_file(o.pairs, kMaxFileBytes));
  gateway::Embedder embedder;
  if (!o.url.empty()) {
    WEIR_ASSIGN(RemoteEmbedder remote, RemoteEmbedder::make(o));
    // shared: std::function wants what can be copied.
    embedder = [made = std::make_shared<RemoteEmbedder>(std::move(remote))](
                   const std::vector<std::string>& texts) { return (*made)(texts); };
  }
  auto pairs = gateway::parse_labelled_pairs(lines, embedder);
  if (!pairs.ok()) return pairs.error().with_context(o.pairs);
  const std::vector<double> thresholds = gateway::usual_thresholds();
  auto eval = gateway::evaluate_thresholds(*pairs, thresholds);
  if (!eval.ok()) return eval.error().with_context(o.pairs);
  fmt::print("{}", o.json ? gateway::semantic_eval_json(*eval, o.most).dump() + "\n"
                          : gateway::semantic_eval_table(*eval, o.most));
  return gateway::choose_threshold(*eval, o.most).has_value() ? kExitOk : kExitInconclusive;
}

}  // namespace

void add_cache(CLI::App& root, Selected& selected) {
  CLI::App* cache = add_command(root, "cache", "The gateway's semantic cache, before it is trusted",
                                "  weir cache eval pairs.jsonl --url http://127.0.0.1:8080 --model "
                                "embedder\n");
  cache->require_subcommand(1);
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks outlive this call
  CLI::App* c = add_command(
      *cache, "eval",
      "How often a threshold gives a wrong answer, from pairs that people have read",
      "  weir cache eval pairs.jsonl --url http://127.0.0.1:8080 --model embedder --most 0.01\n"
      "  weir cache eval vectors.jsonl --json\n\n"
      "Lines: {\"a\": \"How do I reset it?\", \"b\": \"How can I reset it?\", \"same\": "
      "true}; a and b may\n"
      "be vectors. Exit 0: a threshold is within --most; 4: none is, or the pairs are too few.\n");
  c->add_option("pairs", o->pairs, "JSON lines")->required();
  c->add_option("--url", o->url, "who makes embeddings of texts (/v1/embeddings)");
  c->add_option("--model", o->model, "by which model");
  c->add_option("--key-env", o->key_env, "the variable that holds the key for --url");
  c->add_option("--most", o->most, "the rate of wrong answers that one can live with")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return evaluate(*o); }; });
}

}  // namespace weir::cli
