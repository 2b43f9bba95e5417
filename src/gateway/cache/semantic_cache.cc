#include "gateway/cache/semantic_cache.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "gateway/cache/request_key.h"

namespace weir::gateway {
namespace {

size_t share_of(size_t total, double share) {
  return static_cast<size_t>(static_cast<double>(total) * std::clamp(share, 0.0, 1.0));
}

}  // namespace

Result<std::vector<float>> unit_vector(std::span<const float> embedding, size_t max_dimensions) {
  if (embedding.empty() || embedding.size() > max_dimensions) {
    return make_error(ErrorCode::kInvalidValue, "an embedding has {} dimensions; 1 to {} are taken",
                      embedding.size(), max_dimensions);
  }
  double squares = 0;
  for (const float v : embedding) squares += static_cast<double>(v) * v;
  if (!std::isfinite(squares) || squares <= 0)
    return make_error(ErrorCode::kInvalidValue, "an embedding is zero or not finite");
  const double length = std::sqrt(squares);
  std::vector<float> out(embedding.begin(), embedding.end());
  for (float& v : out) v = static_cast<float>(v / length);
  return out;
}

double dot(std::span<const float> a, std::span<const float> b) {
  // Lanes of their own: the compiler may not reorder a sum, and so vectorizes only this.
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= a.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  double sum = 0;
  for (const float s : sums) sum += s;
  for (; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::optional<SemanticQuestion> semantic_question(const text::Json& request) {
  const text::Json* messages = request.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->size() == 0) return std::nullopt;
  const text::Json& last = messages->items().back();
  const text::Json* role = last.find("role");
  const text::Json* content = last.find("content");
  if (role == nullptr || !(*role == text::Json("user")) || content == nullptr ||
      !content->is_string() || content->as_string().empty())
    return std::nullopt;
  SemanticQuestion question{content->as_string(), {}};
  text::Json rest = request;
  rest.find("messages")->items().back().set("content", nullptr);
  question.context = canonical_request(rest);
  return question;
}

Hash128 SemanticCache::key_of(const CacheScope& scope, std::string_view context) const {
  return scope_key(secret_, scope, context);
}

Result<std::optional<SemanticHit>> SemanticCache::find(const CacheScope& scope,
                                                       std::string_view context,
                                                       std::span<const float> embedding,
                                                       int64_t now_ns) {
  WEIR_ASSIGN(const std::vector<float> vector, unit_vector(embedding, config_.max_dimensions));
  expire(now_ns);
  std::optional<SemanticHit> best;
  const auto found = contexts_.find(key_of(scope, context));
  if (found == contexts_.end()) return best;
  for (const Order::iterator& entry : found->second) {
    if (entry->vector.size() != vector.size() || entry->answer->scope.tenant != scope.tenant)
      continue;
    const double similarity = dot(entry->vector, vector);
    if (similarity < config_.threshold || (best && similarity < best->similarity)) continue;
    best = SemanticHit{entry->answer, similarity, now_ns - entry->stored_ns};
  }
  return best;
}

Result<bool> SemanticCache::store(std::string_view context, std::span<const float> embedding,
                                  StoredAnswer answer, int64_t now_ns) {
  WEIR_ASSIGN(std::vector<float> vector, unit_vector(embedding, config_.max_dimensions));
  expire(now_ns);
  const CacheScope scope = answer.scope;
  const Hash128 key = key_of(scope, context);
  if (const auto found = contexts_.find(key); found != contexts_.end()) {
    const size_t dimensions = found->second.front()->vector.size();
    if (dimensions != vector.size()) {
      return make_error(ErrorCode::kInvalidValue,
                        "an embedding has {} dimensions, and those before it {}: one model makes "
                        "all of them",
                        vector.size(), dimensions);
    }
  }
  Entry entry;
  entry.bytes = kEntryBytes + vector.size() * sizeof(float) + answer.body.size() +
                answer.cascade.size() + scope.bytes();
  for (const std::string& tag : answer.tags) entry.bytes += sizeof(std::string) + tag.size();
  if (answer.body.size() > config_.max_answer_bytes ||
      entry.bytes > share_of(config_.max_bytes, config_.max_tenant_share) ||
      share_of(config_.max_entries, config_.max_tenant_share) == 0 ||
      config_.max_context_entries == 0)
    return false;
  entry.context = key;
  entry.vector = std::move(vector);
  entry.stored_ns = now_ns;
  entry.answer = std::make_shared<const StoredAnswer>(std::move(answer));
  const auto stored = order_.insert(order_.end(), std::move(entry));
  Members& members = contexts_[key];
  stored->place = members.insert(members.end(), stored);
  Tenant& tenant = tenants_[scope.tenant];
  stored->tenant_place = tenant.members.insert(tenant.members.end(), stored);
  tenant.bytes += stored->bytes;
  bytes_ += stored->bytes;
  make_room(key, tenant);
  return true;
}

void SemanticCache::make_room(const Hash128& context, Tenant& tenant) {
  const auto drop = [&](Order::iterator entry) {
    erase(entry);
    ++evicted_;
  };
  const Members& members = contexts_.find(context)->second;
  while (members.size() > config_.max_context_entries) drop(members.front());
  while (tenant.members.size() > share_of(config_.max_entries, config_.max_tenant_share) ||
         tenant.bytes > share_of(config_.max_bytes, config_.max_tenant_share))
    drop(tenant.members.front());
  while (order_.size() > config_.max_entries || bytes_ > config_.max_bytes) drop(order_.begin());
}

void SemanticCache::expire(int64_t now_ns) {
  while (!order_.empty() && order_.front().stored_ns + config_.ttl_ns <= now_ns)
    erase(order_.begin());
}

void SemanticCache::erase(Order::iterator entry) {
  const auto context = contexts_.find(entry->context);
  context->second.erase(entry->place);
  if (context->second.empty()) contexts_.erase(context);
  const auto tenant = tenants_.find(entry->answer->scope.tenant);
  tenant->second.members.erase(entry->tenant_place);
  tenant->second.bytes -= entry->bytes;
  if (tenant->second.members.empty()) tenants_.erase(tenant);
  bytes_ -= entry->bytes;
  order_.erase(entry);
}

size_t SemanticCache::invalidate(const InvalidateFilter& filter) {
  size_t gone = 0;
  for (auto it = order_.begin(); it != order_.end();) {
    const auto here = it++;
    if (!filter.matches(here->answer->scope, here->answer->tags)) continue;
    erase(here);
    ++gone;
  }
  return gone;
}

}  // namespace weir::gateway
