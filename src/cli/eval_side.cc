#include "cli/eval_side.h"

#include <filesystem>
#include <string_view>

namespace weir::cli {

Result<Side> parse_side(const std::string& argument) {
  namespace fs = std::filesystem;
  Side side;
  if (argument.starts_with("http://") || argument.starts_with("https://")) {
    constexpr std::string_view kModel = "#model=";
    side.kind = Side::Kind::kUrl;
    const size_t mark = argument.find('#');
    side.subject.url = argument.substr(0, mark);
    if (mark == std::string::npos) return side;
    side.subject.served_model = argument.substr(std::min(argument.size(), mark + kModel.size()));
    if (argument.compare(mark, kModel.size(), kModel) == 0 && !side.subject.served_model.empty())
      return side;
    return make_error(ErrorCode::kUsage,
                      "{}: behind the # of a URL stands the server's model, as in "
                      "http://127.0.0.1:8000#model=NAME",
                      argument);
  }
  std::error_code ignored;
  const bool folder = fs::is_directory(argument, ignored);
  const bool file = !folder && fs::exists(argument, ignored);
  if (folder || argument.ends_with(".gguf") || (!file && !argument.ends_with(".json"))) {
    side.kind = Side::Kind::kModel;
    side.subject.model = argument;
    return side;
  }
  side.result = argument;
  return side;
}

}  // namespace weir::cli
