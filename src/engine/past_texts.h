// What finished requests answered, kept as a source of guesses for later ones of the same tenant
// (and cache_salt): agents and templates say much again. Answers only, not prompts.
//
// Bounded: of a tenant the newest `tokens_of_tenant` tokens, of tenants the kMaxTenants that
// answered last. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <string>
#include <vector>

namespace weir::engine {

struct Request;

class PastTexts {
 public:
  static constexpr size_t kMaxTenants = 64;

  // tokens_of_tenant 0: keeps nothing.
  explicit PastTexts(int32_t tokens_of_tenant) : tokens_of_tenant_(tokens_of_tenant) {}

  // `answer` of the finished request; of a longer one the end is kept.
  void add(const Request& request, std::span<const int32_t> answer);
  // The answers of its tenant, the newest last; after each one a negative token below -1 that
  // occurs once.
  std::vector<int32_t> of(const Request& request) const;

 private:
  struct Owner {
    std::string tenant;
    std::string salt;
    std::deque<std::vector<int32_t>> answers;
    size_t tokens = 0;
  };
  static bool owns(const Owner& o, const Request& request);

  int32_t tokens_of_tenant_;
  std::list<Owner> owners_;  // who answered last is first
};

}  // namespace weir::engine
