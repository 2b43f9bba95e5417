// A review for people and for programs.
#include <fmt/format.h>

#include "ops/release/manifest.h"
#include "ops/review/review.h"
#include "ops/sources/days.h"
#include "plot/page.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

using text::Json;

// A text of the checklist with the environment's name in it.
std::string with_env(std::string out, const std::string& env) {
  for (size_t at = 0; (at = out.find("ENV", at)) != std::string::npos; at += env.size())
    out.replace(at, 3, env);
  return out;
}

std::string candidate_text(const Review& r) {
  const std::string model = r.model.empty()
                                ? "no model"
                                : fmt::format("{} {}", r.model, short_id(r.subject.model_sha256));
  return fmt::format("{}, configuration {}{}", model, short_id(r.subject.config_sha256),
                     r.release.empty() ? "" : fmt::format(" of release {}", short_id(r.release)));
}

}  // namespace

Json review_json(const Review& r) {
  Json items = Json::array();
  for (const ReviewedItem& i : r.items) {
    Json j = Json::object();
    j.set("id", i.item->id);
    j.set("title", i.item->title);
    j.set("verdict", review_verdict_name(i.verdict));
    j.set("found", i.found);
    j.set("why", i.item->why);
    j.set("source", i.item->source);
    if (i.verdict == ReviewVerdict::kFail) {
      j.set("evidence", with_env(i.item->evidence, r.env));
      j.set("remedy", with_env(i.item->remedy, r.env));
    }
    Json files = Json::array();
    for (const std::string& f : i.files) files.push_back(f);
    j.set("files", std::move(files));
    items.push_back(std::move(j));
  }
  Json out = Json::object();
  out.set("schema", "weir-review-1");
  out.set("created", time_of(r.now_s));
  out.set("env", r.env);
  out.set("verdict", r.passed() ? "pass" : "fail");
  out.set("subject", r.subject.json());
  out.set("model", r.model);
  out.set("release", r.release);
  out.set("items", std::move(items));
  return out;
}

std::string review_text(const Review& r) {
  std::string out = fmt::format("review of {}: {}\n", r.env, candidate_text(r));
  size_t counts[3] = {0, 0, 0};
  for (const ReviewedItem& i : r.items) {
    ++counts[static_cast<size_t>(i.verdict)];
    out += fmt::format("{:<6}  {:<10} {}\n        {}\n", review_verdict_name(i.verdict), i.item->id,
                       i.item->title, plot::printable(i.found));
    if (i.verdict == ReviewVerdict::kFail)
      out += fmt::format("        proof:  {}\n        remedy: {}\n",
                         with_env(i.item->evidence, r.env), with_env(i.item->remedy, r.env));
  }
  return out + fmt::format("{}: {} pass, {} fail, {} waived\n", r.passed() ? "pass" : "fail",
                           counts[0], counts[1], counts[2]);
}

std::string review_html(const Review& r, const Sources& sources) {
  const auto said = [](std::string_view markup) {
    return fmt::format("<span class=\"said\">{}</span>", markup);
  };
  std::vector<std::vector<std::string>> rows = {{"item", "verdict", "found", "why"}};
  for (const ReviewedItem& i : r.items) {
    std::string why = plot::escaped(i.item->why);
    if (const Source* s = sources.find(i.item->source))
      why += fmt::format(" <a href=\"{}\">{}</a>", plot::escaped(s->url), plot::escaped(s->title));
    std::string found = plot::escaped(i.found);
    if (i.verdict == ReviewVerdict::kFail)
      found += fmt::format("<br><i>{}</i>", plot::escaped(with_env(i.item->remedy, r.env)));
    rows.push_back({said(plot::escaped(i.item->title)), std::string(review_verdict_name(i.verdict)),
                    said(found), said(why)});
  }
  const std::string body = fmt::format(
      "<h1>Review of {}</h1><p class=\"soft\">{}</p><div class=\"verdict {}\"><b>{}</b>{}</div>{}",
      plot::escaped(r.env), time_of(r.now_s), r.passed() ? "good" : "bad",
      r.passed() ? "pass" : fmt::format("fail: {}", fmt::join(r.failed(), ", ")),
      plot::escaped(candidate_text(r)), plot::html_table(rows));
  return plot::html_page(fmt::format("Review of {}, {}", r.env, time_of(r.now_s)), body);
}

}  // namespace weir::ops
