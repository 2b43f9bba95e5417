// Which rules each value of tokenizer.ggml.pre means. Source of the names and expressions:
// llama.cpp, src/llama-vocab.cpp; where its expression approximates the one in tokenizer.json
// (gpt-4o, tekken), the latter counts.
#include <algorithm>

#include "text/pretokenizer.h"

namespace weir::text {
namespace {

// Cased letters, as the tokenizer.json of deepseek-llm lists them.
constexpr CodepointRange kCasedLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
// [!-/:-~！-／：-～‘-‟　-。] of deepseek-llm; as written it holds the ASCII letters too.
constexpr CodepointRange kDeepseekPunct[] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
                                             {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
// [一-龥ࠀ-一가-퟿]
constexpr CodepointRange kDeepseekCjk[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
// [一-龥぀-ゟ゠-ヿ]
constexpr CodepointRange kHanKana[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
constexpr CodepointRange kHangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
constexpr CodepointRange kYoutuPunct[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                          {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                          {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
constexpr CodepointRange kBopomofo[] = {{0x3105, 0x312F}};
constexpr CodepointRange kLineFeed[] = {{0x0A, 0x0A}};
// [\p{P}$+<=>^~|] and the same with the backquote
constexpr CodepointRange kDefaultSymbols[] = {{0x24, 0x24}, {0x2B, 0x2B}, {0x3C, 0x3E},
                                              {0x5E, 0x5E}, {0x7C, 0x7C}, {0x7E, 0x7E}};
constexpr CodepointRange kFalconSymbols[] = {{0x24, 0x24}, {0x2B, 0x2B}, {0x3C, 0x3E}, {0x5E, 0x5E},
                                             {0x60, 0x60}, {0x7C, 0x7C}, {0x7E, 0x7E}};

constexpr Rule run(bool leading_space, uint16_t classes, std::span<const CodepointRange> ranges) {
  Rule r;
  r.kind = RuleKind::kRun;
  r.leading_space = leading_space;
  r.classes = classes;
  r.ranges = ranges;
  return r;
}
constexpr Rule of(RuleKind kind) {
  Rule r;
  r.kind = kind;
  return r;
}
constexpr Rule numbers(uint32_t max_digits) {
  Rule r = of(RuleKind::kNumbers);
  r.max_digits = max_digits;
  return r;
}
constexpr Rule words(uint32_t max_digits, bool contractions = true, uint16_t letters = kLetter,
                     Tail tail = Tail::kNewlines) {
  Rule r = of(RuleKind::kWords);
  r.max_digits = max_digits;
  r.contractions = contractions;
  r.letters = letters;
  r.tail = tail;
  return r;
}
constexpr Rule cased(uint32_t max_digits, bool contractions) {
  Rule r = of(RuleKind::kCasedWords);
  r.max_digits = max_digits;
  r.contractions = contractions;
  r.tail = Tail::kNewlinesAndSlashes;
  return r;
}

constexpr Rule kGpt2Rules[] = {of(RuleKind::kGpt2)};
constexpr Rule kStarcoderRules[] = {numbers(1), of(RuleKind::kGpt2)};
constexpr Rule kLlama3Rules[] = {words(3)};
constexpr Rule kQwen2Rules[] = {words(1)};
constexpr Rule kQwen35Rules[] = {words(1, true, kLetter | kMark)};
constexpr Rule kUfakzekaRules[] = {words(1, false)};
constexpr Rule kSeedCoderRules[] = {words(1, true, kLetter, Tail::kNone)};
constexpr Rule kMinicpm5Rules[] = {numbers(3), words(0)};
constexpr Rule kLagunaRules[] = {run(false, 0, kLineFeed), words(1)};
constexpr Rule kGpt4oRules[] = {cased(3, true)};
constexpr Rule kTekkenRules[] = {cased(1, false)};
constexpr Rule kYoutuRules[] = {run(false, 0, kHangul), run(false, 0, kYoutuPunct),
                                run(false, 0, kBopomofo), run(false, 0, kHanKana), cased(1, true)};
constexpr Rule kDeepseekV3Rules[] = {numbers(3), run(false, 0, kHanKana),
                                     of(RuleKind::kDeepseekV3)};
constexpr Rule kDeepseekLlmRules[] = {of(RuleKind::kNewline),       run(true, 0, kCasedLetters),
                                      run(true, 0, kDeepseekPunct), of(RuleKind::kTrailingSpace),
                                      run(false, 0, kDeepseekCjk),  numbers(0)};
constexpr Rule kDeepseekCoderRules[] = {of(RuleKind::kNewline), run(true, kLetter, {}),
                                        run(true, kPunct, {}), run(false, 0, kDeepseekCjk),
                                        numbers(1)};
constexpr Rule kFalconRules[] = {run(false, kPunct, kFalconSymbols), of(RuleKind::kGpt2),
                                 of(RuleKind::kAsciiTriple)};
constexpr Rule kDefaultRules[] = {run(false, kPunct, kDefaultSymbols), of(RuleKind::kGpt2),
                                  numbers(0), of(RuleKind::kAsciiTriple)};
constexpr Rule kBloomRules[] = {of(RuleKind::kBloom)};
constexpr Rule kVikingRules[] = {of(RuleKind::kBloom), numbers(1)};

// name, rules, ignores_merges, adds_bos
constexpr PreTokenizer kPreTokenizers[] = {
    {"default", kDefaultRules},
    {"gpt-2", kGpt2Rules},
    {"phi-2", kGpt2Rules},
    {"mpt", kGpt2Rules},
    {"olmo", kGpt2Rules},
    {"jais", kGpt2Rules},
    {"trillion", kGpt2Rules},
    {"granite-docling", kGpt2Rules},
    {"exaone4", kGpt2Rules},
    {"gigachat", kGpt2Rules},
    {"mellum", kGpt2Rules},
    {"a.x-4.0", kGpt2Rules},
    {"modern-bert", kGpt2Rules},
    {"roberta-bpe", kGpt2Rules},
    {"jina-es", kGpt2Rules},
    {"jina-de", kGpt2Rules},
    {"jina-v1-en", kGpt2Rules},
    {"jina-v2-es", kGpt2Rules},
    {"jina-v2-de", kGpt2Rules},
    {"jina-v2-code", kGpt2Rules},
    {"starcoder", kStarcoderRules},
    {"smollm", kStarcoderRules},
    {"refact", kStarcoderRules},
    {"command-r", kStarcoderRules},
    {"codeshell", kStarcoderRules},
    {"exaone", kStarcoderRules},
    {"minerva-7b", kStarcoderRules},
    {"mellum2", kStarcoderRules},
    {"llama3", kLlama3Rules, true, true},
    {"llama-v3", kLlama3Rules, true, true},
    {"llama-bpe", kLlama3Rules, true, true},
    {"falcon3", kLlama3Rules, true, true},
    {"falcon-h1", kLlama3Rules, true, true},
    {"pixtral", kLlama3Rules, true, true},
    {"midm-2.0", kLlama3Rules, true, true},
    {"lfm2", kLlama3Rules, true, true},
    {"jina-v5-nano", kLlama3Rules, true, true},
    {"dbrx", kLlama3Rules},
    {"smaug-bpe", kLlama3Rules},
    {"chatglm-bpe", kLlama3Rules},
    {"glm4", kLlama3Rules, true},
    {"glm5", kLlama3Rules, true},
    {"qwen2", kQwen2Rules},
    {"deepseek-r1-qwen", kQwen2Rules},
    {"kormo", kQwen2Rules},
    {"f2llmv2", kQwen2Rules},
    {"megrez", kQwen2Rules},
    {"stablelm2", kQwen2Rules},
    {"hunyuan", kQwen2Rules},
    {"solar-open", kQwen2Rules},
    {"grok-2", kQwen2Rules},
    {"bailingmoe", kQwen2Rules},
    {"bailingmoe2", kQwen2Rules},
    {"llada-moe", kQwen2Rules},
    {"qwen35", kQwen35Rules},
    {"ufakzeka", kUfakzekaRules},
    {"seed-coder", kSeedCoderRules},
    {"minicpm5", kMinicpm5Rules, true},
    {"laguna", kLagunaRules},
    {"gpt-4o", kGpt4oRules},
    {"llama4", kGpt4oRules},
    {"kanana2", kGpt4oRules},
    {"talkie", kGpt4oRules},
    {"minimax-m2", kGpt4oRules},
    {"granite-embed-multi-97m", kGpt4oRules, true},
    {"tekken", kTekkenRules, true, true},
    {"youtu", kYoutuRules, true},
    {"deepseek-v3", kDeepseekV3Rules},
    {"hunyuan-dense", kDeepseekV3Rules},
    {"joyai-llm", kDeepseekV3Rules},
    {"hy_v4", kDeepseekV3Rules},
    {"deepseek-llm", kDeepseekLlmRules},
    {"deepseek-coder", kDeepseekCoderRules},
    {"falcon", kFalconRules},
    {"bloom", kBloomRules},
    {"poro-chat", kBloomRules},
    {"gpt3-finnish", kBloomRules},
    {"viking", kVikingRules},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& p : kPreTokenizers) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::vector<std::string_view> names;
  for (const PreTokenizer& p : kPreTokenizers) names.push_back(p.name);
  std::sort(names.begin(), names.end());
  std::string out;
  for (const std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

}  // namespace weir::text
