// What a request asks, as text: for routers that look at it and for judges that read it. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/json.h"

namespace weir::gateway {

struct Question {
  std::string text;      // of the last message of a user, or the prompt
  std::string before;    // all that stands before it: "role: text" lines
  int turns_before = 0;  // of users
};

// body: of a request of either protocol, or a line of a log: with messages, prompt or input. What
// has none of them, or others than texts in them, gives less or nothing.
Question read_question(const text::Json& body);

// `pattern` with each {name} of the three replaced; what is put in is not looked at again.
struct JudgePrompt {
  std::string_view question;
  std::string_view conversation;  // with the question
  std::string_view answer;
};
std::string fill_prompt(std::string_view pattern, const JudgePrompt& with);

}  // namespace weir::gateway
