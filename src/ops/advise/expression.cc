#include "ops/advise/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace weir::ops {

struct Expression::Node {
  enum class Kind : uint8_t {
    kNumber,
    kWord,
    kField,
    kKnown,
    kNot,
    kAnd,
    kOr,
    kCompare,
    kIn,
    kMath
  };
  Kind kind = Kind::kNumber;
  double number = 0;
  std::string word;  // of kWord; path of kField and kKnown; operator of kCompare and kMath
  const IntakeField* field = nullptr;
  std::vector<std::shared_ptr<const Node>> parts;  // kIn: the first in the others
};

namespace {

using Node = Expression::Node;
using Ref = std::shared_ptr<const Node>;
using Kind = Node::Kind;

constexpr size_t kMaxBytes = 2000;
constexpr int kMaxDepth = 32;
enum class Type : uint8_t { kTruth, kNumber, kText };

Type type_of(const Node& n) {
  switch (n.kind) {
    case Kind::kNumber:
    case Kind::kMath:
      return Type::kNumber;
    case Kind::kWord:
      return n.word == "true" || n.word == "false" ? Type::kTruth : Type::kText;
    case Kind::kField:
      if (n.field->key.type == config::Type::kBool) return Type::kTruth;
      return n.field->key.type == config::Type::kInt || n.field->key.type == config::Type::kNumber
                 ? Type::kNumber
                 : Type::kText;
    default:
      return Type::kTruth;
  }
}

std::string_view type_name(Type t) {
  return t == Type::kTruth ? "yes or no" : t == Type::kNumber ? "a number" : "a text";
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Ref> all() {
    WEIR_ASSIGN(Ref root, either());
    skip();
    if (at_ < text_.size()) return wrong("there is more after the end");
    return root;
  }
  std::vector<std::string> fields;

 private:
  Error wrong(std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "condition \"{}\", byte {}: {}", text_.substr(0, 200),
                      at_, what);
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    // "or" is no beginning of "origin".
    const size_t end = at_ + token.size();
    if (is_word(token.back()) && end < text_.size() && is_word(text_[end])) return false;
    at_ = end;
    return true;
  }
  static Ref make(Kind kind, std::string word, std::vector<Ref> parts) {
    Node n;
    n.kind = kind;
    n.word = std::move(word);
    n.parts = std::move(parts);
    return std::make_shared<const Node>(std::move(n));
  }
  Status want(const Ref& n, Type type) const {
    if (type_of(*n) == type) return {};
    return wrong(
        fmt::format("{} is wanted, and this is {}", type_name(type), type_name(type_of(*n))));
  }

  Result<Ref> either() {
    if (++depth_ > kMaxDepth) return wrong("it is nested too deep");
    WEIR_ASSIGN(Ref left, both());
    while (take("or")) {
      WEIR_TRY(want(left, Type::kTruth));
      WEIR_ASSIGN(Ref right, both());
      WEIR_TRY(want(right, Type::kTruth));
      left = make(Kind::kOr, "", {left, right});
    }
    --depth_;
    return left;
  }
  Result<Ref> both() {
    WEIR_ASSIGN(Ref left, negated());
    while (take("and")) {
      WEIR_TRY(want(left, Type::kTruth));
      WEIR_ASSIGN(Ref right, negated());
      WEIR_TRY(want(right, Type::kTruth));
      left = make(Kind::kAnd, "", {left, right});
    }
    return left;
  }
  Result<Ref> negated() {
    if (!take("not")) return comparison();
    if (++depth_ > kMaxDepth) return wrong("it is nested too deep");
    WEIR_ASSIGN(Ref inner, negated());
    --depth_;
    WEIR_TRY(want(inner, Type::kTruth));
    return make(Kind::kNot, "", {inner});
  }
  Result<Ref> comparison() {
    WEIR_ASSIGN(Ref left, sum());
    if (take("in")) return membership(left);
    for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!take(op)) continue;
      WEIR_ASSIGN(Ref right, sum());
      const bool equality = op == "==" || op == "!=";
      WEIR_TRY(equality ? want(right, type_of(*left)) : want(left, Type::kNumber));
      if (!equality) WEIR_TRY(want(right, Type::kNumber));
      WEIR_TRY(check_choice(left, right));
      WEIR_TRY(check_choice(right, left));
      return make(Kind::kCompare, std::string(op), {left, right});
    }
    return left;
  }
  Result<Ref> membership(const Ref& left) {
    WEIR_TRY(want(left, Type::kText));
    if (!take("(")) return wrong("( must follow in");
    std::vector<Ref> parts = {left};
    do {
      WEIR_ASSIGN(Ref item, atom());
      WEIR_TRY(want(item, Type::kText));
      WEIR_TRY(check_choice(left, item));
      parts.push_back(item);
    } while (take(","));
    if (!take(")")) return wrong(") is missing");
    return make(Kind::kIn, "", std::move(parts));
  }
  Result<Ref> sum() {
    WEIR_ASSIGN(Ref left, product());
    for (;;) {
      const std::string op = take("+") ? "+" : take("- ") ? "-" : "";
      if (op.empty()) return left;
      WEIR_ASSIGN(Ref right, product());
      WEIR_TRY(want(left, Type::kNumber));
      WEIR_TRY(want(right, Type::kNumber));
      left = make(Kind::kMath, op, {left, right});
    }
  }
  Result<Ref> product() {
    WEIR_ASSIGN(Ref left, atom());
    for (;;) {
      const std::string op = take("*") ? "*" : take("/") ? "/" : "";
      if (op.empty()) return left;
      WEIR_ASSIGN(Ref right, atom());
      WEIR_TRY(want(left, Type::kNumber));
      WEIR_TRY(want(right, Type::kNumber));
      left = make(Kind::kMath, op, {left, right});
    }
  }
  Result<Ref> atom() {
    if (take("(")) {
      WEIR_ASSIGN(Ref inner, either());
      if (!take(")")) return wrong(") is missing");
      return inner;
    }
    if (take("known")) {
      if (!take("(")) return wrong("( must follow known");
      WEIR_ASSIGN(Ref inner, atom());
      if (inner->kind != Kind::kField) return wrong("known takes a field");
      if (!take(")")) return wrong(") is missing");
      return make(Kind::kKnown, inner->word, {});
    }
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (word.empty()) return wrong("a field, a word or a number is wanted");
    return leaf(word);
  }
  Result<Ref> leaf(std::string_view word) {
    Node n;
    const auto [end, ec] = std::from_chars(word.data(), word.data() + word.size(), n.number);
    if (ec == std::errc() && end == word.data() + word.size() && std::isfinite(n.number))
      return std::make_shared<const Node>(std::move(n));
    n.word = std::string(word);
    n.kind = Kind::kWord;
    const auto groups = intake_groups();
    const std::string_view group = word.substr(0, word.find('.'));
    const bool path = word.find('.') != std::string_view::npos &&
                      std::any_of(groups.begin(), groups.end(),
                                  [&](const IntakeGroup& g) { return g.name == group; });
    if (!path) return std::make_shared<const Node>(std::move(n));
    n.kind = Kind::kField;
    n.field = find_intake_field(word);
    if (n.field == nullptr) {
      return wrong(fmt::format("there is no field \"{}\"; the nearest is \"{}\"", word,
                               nearest_intake_field(word)));
    }
    if (std::find(fields.begin(), fields.end(), n.word) == fields.end()) fields.push_back(n.word);
    return std::make_shared<const Node>(std::move(n));
  }
  // A word that a field can never be would make a branch that no one reaches.
  Status check_choice(const Ref& field, const Ref& word) const {
    if (field->kind != Kind::kField || word->kind != Kind::kWord) return {};
    const auto& choices = field->field->key.spec.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), word->word) != choices.end())
      return {};
    return wrong(fmt::format("{} is {}, never \"{}\"", field->word,
                             config::describe(field->field->key), word->word));
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

std::optional<double> number_of(const Node& n, const Intake& intake) {
  if (n.kind == Kind::kNumber) return n.number;
  if (n.kind == Kind::kField) return intake.number(n.word);
  if (n.kind != Kind::kMath) return std::nullopt;
  const auto a = number_of(*n.parts[0], intake), b = number_of(*n.parts[1], intake);
  if (!a || !b) return std::nullopt;
  switch (n.word[0]) {
    case '+':
      return *a + *b;
    case '-':
      return *a - *b;
    case '*':
      return *a * *b;
    default:
      return *b == 0 ? std::nullopt : std::optional(*a / *b);
  }
}

std::optional<std::string> text_of(const Node& n, const Intake& intake) {
  return n.kind == Kind::kField ? intake.text(n.word) : std::optional(n.word);
}

Truth truth(bool yes) { return yes ? Truth::kYes : Truth::kNo; }

Truth evaluate(const Node& n, const Intake& intake);

Truth compare(const Node& n, const Intake& intake) {
  const Node &left = *n.parts[0], &right = *n.parts[1];
  switch (type_of(left)) {
    case Type::kNumber: {
      const auto a = number_of(left, intake), b = number_of(right, intake);
      if (!a || !b) return Truth::kUnknown;
      if (n.word == "<") return truth(*a < *b);
      if (n.word == "<=") return truth(*a <= *b);
      if (n.word == ">") return truth(*a > *b);
      if (n.word == ">=") return truth(*a >= *b);
      return truth((*a == *b) == (n.word == "=="));
    }
    case Type::kText: {
      const auto a = text_of(left, intake), b = text_of(right, intake);
      if (!a || !b) return Truth::kUnknown;
      return truth((*a == *b) == (n.word == "=="));
    }
    case Type::kTruth: {
      const Truth a = evaluate(left, intake), b = evaluate(right, intake);
      if (a == Truth::kUnknown || b == Truth::kUnknown) return Truth::kUnknown;
      return truth((a == b) == (n.word == "=="));
    }
  }
  return Truth::kUnknown;
}

Truth evaluate(const Node& n, const Intake& intake) {
  switch (n.kind) {
    case Kind::kWord:
      return truth(n.word == "true");
    case Kind::kField: {
      const auto flag = intake.flag(n.word);
      return flag ? truth(*flag) : Truth::kUnknown;
    }
    case Kind::kKnown:
      return truth(intake.find(n.word) != nullptr);
    case Kind::kNot: {
      const Truth inner = evaluate(*n.parts[0], intake);
      return inner == Truth::kUnknown ? inner : truth(inner == Truth::kNo);
    }
    case Kind::kAnd:
    case Kind::kOr: {
      const Truth decides = n.kind == Kind::kAnd ? Truth::kNo : Truth::kYes;
      const Truth a = evaluate(*n.parts[0], intake), b = evaluate(*n.parts[1], intake);
      if (a == decides || b == decides) return decides;
      return a == Truth::kUnknown ? a : b;
    }
    case Kind::kIn: {
      const auto value = text_of(*n.parts[0], intake);
      if (!value) return Truth::kUnknown;
      return truth(std::any_of(n.parts.begin() + 1, n.parts.end(),
                               [&](const Ref& item) { return item->word == *value; }));
    }
    case Kind::kCompare:
      return compare(n, intake);
    case Kind::kNumber:
    case Kind::kMath:
      break;
  }
  return Truth::kUnknown;
}

}  // namespace

std::string_view truth_name(Truth truth) {
  return truth == Truth::kYes ? "yes" : truth == Truth::kNo ? "no" : "unknown";
}

Result<Expression> Expression::parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return make_error(ErrorCode::kCorrupt, "a condition of {} bytes; at most {} are taken",
                      text.size(), kMaxBytes);
  }
  Parser parser(text);
  Expression e;
  WEIR_ASSIGN(e.root_, parser.all());
  e.text_ = std::string(text);
  e.fields_ = std::move(parser.fields);
  return e;
}

Truth Expression::evaluate(const Intake& intake) const { return ops::evaluate(*root_, intake); }

std::optional<double> Expression::number(const Intake& intake) const {
  return number_of(*root_, intake);
}

}  // namespace weir::ops
