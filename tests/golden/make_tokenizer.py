#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/smollm2.txt: texts of our own with the ids that llama.cpp gives on the real model.

    .venv/bin/python tests/golden/make_tokenizer.py [directory]

Needs the package llama-cpp-python (script/install_oracle) and the model of script/bootstrap, or WEIR_TEST_MODEL.
Three lines a case: flags ("bos special", each 0 or 1), the text in hexadecimal, the ids.
src/text/smollm_golden_test.cc reads it.
"""
import os
import pathlib
import sys

from llama_cpp import Llama

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


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "tokenizer"
    out.mkdir(parents=True, exist_ok=True)
    model = Llama(str(MODEL), vocab_only=True, verbose=False)
    lines = []
    for text in TEXTS:
        for bos, special in ((0, 0), (0, 1), (1, 1)):
            ids = model.tokenize(text.encode(), add_bos=bool(bos), special=bool(special))
            lines += [f"{bos} {special}", text.encode().hex(), " ".join(map(str, ids))]
    (out / "smollm2.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
