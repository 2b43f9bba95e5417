#include "ops/deploy/arguments.h"

#include <algorithm>
#include <cctype>

namespace weir::ops {
namespace {

// "-1", "-.5": a value, not a flag.
bool is_number(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && (std::isdigit(word[1]) != 0 || word[1] == '.');
}

bool is_flag(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && !is_number(word);
}

// argparse takes all words up to the next flag; the others one word with commas.
bool takes_many(const EngineOption& option, std::string_view engine) {
  return option.type == OptionType::kList && engine != "llama.cpp" && engine != "tensorrt-llm";
}

// "-O3": the flag and its value in one word.
bool split_level(std::string& flag, std::string& value) {
  if (flag.size() != 3 || !flag.starts_with("-O") || std::isdigit(flag[2]) == 0) return false;
  value = flag.substr(2);
  flag = "-O";
  return true;
}

// Whether the members of a map are options, or members of an option's JSON.
bool has_members(const EngineSnapshot& snapshot, const std::string& path) {
  const EngineOption* flag =
      snapshot.keys().empty() ? snapshot.find_flag("--" + path).option : nullptr;
  if (flag != nullptr) return flag->type == OptionType::kJson;
  return std::any_of(snapshot.keys().begin(), snapshot.keys().end(), [&](const EngineOption& o) {
    return o.name.starts_with(path + ".") || o.name.starts_with(path + "[");
  });
}

class Reader {
 public:
  Reader(const std::vector<Word>& words, const EngineSnapshot& snapshot)
      : words_(words), snapshot_(snapshot) {}

  Settings run() {
    while (at_ < words_.size()) {
      const Word& word = words_[at_++];
      if (is_flag(word.text)) {
        flag(word);
      } else {
        out_.positional.push_back(word);
      }
    }
    return std::move(out_);
  }

 private:
  void flag(const Word& word) {
    Setting s;
    s.line = word.line;
    const size_t equals = word.text.find('=');
    s.written = word.text.substr(0, equals);
    std::string value;
    if (equals != std::string::npos) {
      s.glued = true;
      value = word.text.substr(equals + 1);
    } else if (split_level(s.written, value)) {
      s.glued = true;
    }
    const EngineSnapshot::Found found = snapshot_.find_flag(s.written);
    s.option = found.option;
    s.negated = found.negated;
    s.abbreviated = found.abbreviated;
    s.json_key = found.json_key;
    if (s.glued) s.values.push_back({value, word.line, word.expands});
    if (!s.glued) take_values(s);
    out_.all.push_back(std::move(s));
  }

  // Of an unknown flag one value, which is probably its own.
  void take_values(Setting& s) {
    const bool flag_only = s.option != nullptr &&
                           (s.negated || s.option->type == OptionType::kBool) && s.json_key.empty();
    if (flag_only) {
      // "--flag true": no engine takes it so, but it is meant as one.
      if (at_ < words_.size() && is_truth(words_[at_].text)) s.values.push_back(words_[at_++]);
      return;
    }
    const bool many = s.option != nullptr && takes_many(*s.option, snapshot_.engine());
    while (at_ < words_.size() && !is_flag(words_[at_].text)) {
      s.values.push_back(words_[at_++]);
      if (!many) return;
    }
  }

  static bool is_truth(std::string_view text) {
    return text == "true" || text == "false" || text == "True" || text == "False";
  }

  const std::vector<Word>& words_;
  const EngineSnapshot& snapshot_;
  size_t at_ = 0;
  Settings out_;
};

}  // namespace

const Setting* Settings::find(const EngineOption* option, std::string_view json_key) const {
  if (option == nullptr) return nullptr;
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (it->option == option && it->json_key == json_key) return &*it;
  }
  return nullptr;
}

Settings read_arguments(const std::vector<Word>& words, const EngineSnapshot& snapshot) {
  return Reader(words, snapshot).run();
}

Settings read_keys(const std::vector<KeyValue>& keys, const EngineSnapshot& snapshot) {
  Settings out;
  std::string open;  // a key whose value may hold anything
  for (const KeyValue& key : keys) {
    if (!open.empty() && (key.path.starts_with(open + ".") || key.path.starts_with(open + "[")))
      continue;
    open.clear();
    Setting s;
    s.written = key.path;
    s.line = key.line;
    if (!snapshot.keys().empty()) {
      s.option = snapshot.find_key(key.path);
    } else {
      const EngineSnapshot::Found found = snapshot.find_flag("--" + key.path);
      s.option = found.option;
      s.json_key = found.json_key;
    }
    const bool branch = key.kind == KeyValue::Kind::kMap || key.kind == KeyValue::Kind::kList;
    const bool known_members = branch && has_members(snapshot, key.path);
    if (branch && !known_members) open = key.path;
    // A map that is no option itself is one by its members.
    if (s.option == nullptr && known_members) continue;
    if (key.kind == KeyValue::Kind::kScalar) s.values.push_back({key.value, key.line, false});
    out.all.push_back(std::move(s));
  }
  return out;
}

}  // namespace weir::ops
