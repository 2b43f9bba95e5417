// PCRE2 for patterns of bytes and UTF-8, and owners of its objects. Who includes this links
// pcre2-8.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

namespace weir {

struct Pcre2Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

using Pcre2Code = std::unique_ptr<pcre2_code, Pcre2Free>;
using Pcre2MatchContext = std::unique_ptr<pcre2_match_context, Pcre2Free>;
using Pcre2MatchData = std::unique_ptr<pcre2_match_data, Pcre2Free>;

}  // namespace weir
