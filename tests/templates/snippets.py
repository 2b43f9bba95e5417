"""Small templates, one a line, rendered by jinja2 and by weir with the same variables."""

VARIABLES = {"n": 7, "f": 2.5, "s": "Straße & <b>'x'</b>", "e": "", "no": None, "yes": True, "l": [3, 1, 2],
             "words": ["b", "A", "c", "a"], "d": {"b": 1, "A": [1, {"x": None}], "items": "own"},
             "people": [{"name": "Zoë", "age": 41, "tags": ["x"]}, {"name": "adam", "age": 7, "tags": []},
                        {"name": "Eve", "age": 41}]}

SNIPPETS = r"""
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 1.0 }} {{ 1e20 }} {{ 1e-7 }} {{ 0.1 + 0.2 }} {{ 100000000000000000.0 }} {{ 3 / 2 }} {{ 4 / 2 }} {{ 1_000 }} {{ 0x1f }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2.0 ** 0.5 }} {{ 1 == 1.0 }} {{ true + 1 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }}
{{ n }} {{ f }} {{ s }} {{ no }} {{ yes }} {{ l }} {{ d }} {{ missing }} {{ (1,) }} {{ () }} {{ (1, "a") }}
{{ "a" "b" }} {{ 'it''s' }} {{ "q\"'\\\n\t\x41\u00e9" }} {{ ["q\"'\\\n\t\x41\u00e9\u200b"] }} {{ ["it's", 'say "x"'] }}
{{ "a" + "b" * 3 }} {{ [1] + [2] }} {{ [0] * 3 }} {{ "a" ~ 1 ~ none ~ missing }} {{ "x" * 0 }} {{ (1,) + (2,) }}
{{ "%s is %d and %.2f, %5s|%-5s|%05d %x %%" | format("a", 7, 1.005, "r", "l", 42, 255) }} {{ "%s" % "x" }}
{{ "%(a)s-%(b)r" | format(a=1, b="x") }} {{ "%s %s" % (1, 2) }} {{ "%+d %c" % (3, "z") }} {{ "%e %g" % (12345.678, 0.0001) }}
{{ "{} {1} {x}".format(1, 2, x=3) }}
{{ "{} {} {x}".format(1, 2, x=3) }} {{ "{0}{0}{1}".format("a", "b") }} {{ "{:>5}|{:<5}|{:^5}|{:*^7}".format("a", "b", "c", "d") }}
{{ "{:05d} {:.3f} {:,} {:x} {:+} {:%}".format(42, 3.14159, 1234567, 255, 5, 0.25) }} {{ "{{}} {a.x} {b[0]}".format(a={"x": 1}, b=[2]) }}
{{ "{!r} {!s} {:10}|".format("a", "b", 3) }} {{ "{a[x]}".format(a={"x": 9}) }} {{ "{:.2}|{:e}".format("abcdef", 12.5) }}
{{ not true }} {{ not not 1 }} {{ 1 and 0 }} {{ 0 or "x" }} {{ "" or none }} {{ 1 if yes else 2 }} {{ 1 if e }} {{ 1 if 0 else 2 if 0 else 3 }}
{{ 1 in l }} {{ 9 not in l }} {{ "b" in d }} {{ "tra" in s }} {{ 1 is number }} {{ not 1 in [2] }} {{ "" in "abc" }}
{{ l[0] }} {{ l[-1] }} {{ l[9] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[::2] }} {{ s[0] }} {{ s[-1] }} {{ s[2:7] }} {{ s[::-1] }} {{ s[99] }}
{{ l[5:1] }} {{ l[-100:100] }} {{ s[4:5] }} {{ s[5:] }} {{ s[:0] }}| {{ "abc"[1] }} {{ "ab"[::-2] }} {{ (1, 2, 3)[1:] }}
{{ d.b }} {{ d["b"] }} {{ d.A[1].x }} {{ d.zzz }} {{ d["items"] }} {{ d.get("zzz", 5) }} {{ d.get("b") }} {{ d.get("q") }} {{ people.0.name }}
{{ d.keys() | list }} {{ d.values() | list }} {{ d.items() | list }} {{ d | items | list }} {{ d | length }} {{ d | list }}
{{ {"a": 1, "b": {"c": [1, 2]}}.b.c[1] }} {{ {1: 2}[1] }} {{ {"a": 1, "a": 2} }} {{ {"k": none, true: 1.5} }}
{{ s | upper }} {{ s | lower }} {{ s | title }} {{ s | capitalize }} {{ "hello wORLD's x-y" | title }} {{ "ÉCOLE" | lower }} {{ "ß" | upper }}
{{ "  x " | trim }}| {{ "xxaxx" | trim("x") }} {{ "  a b ".strip() }}| {{ "xyaxy".lstrip("xy") }} {{ "xyaxy".rstrip("yx") }} {{ "\u00a0a\u2003".strip() }}
{{ "a,b,,c".split(",") }} {{ " a  b c ".split() }} {{ "a,b,c".split(",", 1) }} {{ "a b c".rsplit(" ", 1) }} {{ " a b  c ".split(none, 1) }} {{ "".split() }} {{ "".split(",") }}
{{ " a b  c ".rsplit(none, 1) }} {{ "a\nb\r\nc\n".splitlines() }} {{ "a\nb".splitlines(true) }} {{ "a=b=c".partition("=") }} {{ "a=b=c".rpartition("=") }} {{ "a".partition("=") }} {{ "a".rpartition("=") }}
{{ "abcabc".find("c") }} {{ "abcabc".rfind("c") }} {{ "abc".find("z") }} {{ "abcabc".count("bc") }} {{ "éa".find("a") }} {{ "abc".index("b") }} {{ "aXbX".replace("X", "-", 1) }}
{{ "abc".startswith("ab") }} {{ "abc".endswith(("x", "c")) }} {{ "abc".startswith("b", 1) }} {{ "-".join(["a", "b"]) }} {{ "ab".replace("", "-") }} {{ "aaa".replace("a", "b") }}
{{ "a1".isalnum() }} {{ "12".isdigit() }} {{ "ab".isalpha() }} {{ "Ab".isupper() }} {{ "ab".islower() }} {{ " ".isspace() }} {{ "".isalpha() }} {{ "x".zfill(3) }} {{ "-5".zfill(4) }}
{{ "ab".center(7, "*") }} {{ "abc".center(8, "*") }} {{ "ab".ljust(4) }}| {{ "ab".rjust(4) }} {{ "ab" | center(6) }}| {{ "pre-x".removeprefix("pre-") }} {{ "x.py".removesuffix(".py") }}
{{ l | sort }} {{ l | sort(reverse=true) }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ people | sort(attribute="age,name") | map(attribute="name") | list }}
{{ l | first }} {{ l | last }} {{ [] | first }} {{ l | min }} {{ l | max }} {{ l | sum }} {{ people | sum("age") }} {{ people | max(attribute="age") }} {{ words | min }}
{{ l | join }} {{ l | join(", ") }} {{ people | join("/", attribute="name") }} {{ [1, none, "x", [2]] | join("|") }} {{ "abc" | join("-") }} {{ "abc" | list }} {{ "abc" | reverse }} {{ l | reverse | list }}
{{ words | unique | list }} {{ words | map("upper") | list }} {{ people | map(attribute="tags", default="none") | list }} {{ l | map("string") | join }} {{ [1.5, "3"] | map("int") | list }}
{{ l | select("odd") | list }} {{ l | reject("gt", 1) | list }} {{ people | selectattr("tags") | map(attribute="name") | list }} {{ people | rejectattr("age", "equalto", 7) | list | length }} {{ [0, 1, "", "a"] | select | list }}
{{ people | selectattr("tags", "defined") | list | length }} {{ people | selectattr("age", ">=", 41) | map(attribute="name") | list }} {{ no | select | list }} {{ no | map("upper") | list }}
{{ d | dictsort }} {{ {"B": 2, "a": 1} | dictsort(true) }} {{ {"B": 1, "a": 2} | dictsort(by="value", reverse=true) }}
{{ l | batch(2) | list }} {{ l | batch(2, "x") | list }} {{ l | slice(2) | list }} {{ l | slice(2, "x") | list }} {{ people | groupby("age") | list | length }} {% for g in people | groupby("age") %}{{ g[0] }}:{{ g[1] | length }} {% endfor %}
{{ missing | default("x") }} {{ e | default("x") }}| {{ e | default("x", true) }} {{ no | d("x") }} {{ missing | d }}|
{{ "42" | int }} {{ "42.9" | int }} {{ "x" | int }} {{ "x" | int(5) }} {{ "ff" | int(base=16) }} {{ " 7 " | int }} {{ 3.99 | int }} {{ none | int }} {{ "1e3" | float }} {{ "x" | float }} {{ "0x1A" | int(0, 16) }} {{ yes | int }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 1.25 | round(1, "ceil") }} {{ 1.29 | round(1, "floor") }} {{ 7 | round }} {{ -3 | abs }} {{ -2.5 | abs }}
{{ "a\nb\n\nc" | indent }} {{ "a\nb" | indent(2, true) }} {{ "a\n\nb" | indent("> ", blank=true) }} {{ "a\nb\n" | indent(1) }}|
{{ "hello big world again" | truncate(12) }} {{ "hello big world again" | truncate(12, true) }} {{ "hello" | truncate(4) }} {{ "one two  three_4 x" | wordcount }} {{ "a b/c?d=é" | urlencode }}
{{ s | e }} {{ s | escape | string }} {{ ("<a>" | safe) + "<b>" }} {{ "<" ~ ("<" | safe) }} {{ ("<i>" | safe) | upper }} {{ "<" | e | e }} {{ "<" | e | forceescape }}
{{ d | tojson }} {{ d | tojson(indent=2) }} {{ s | tojson }} {{ [] | tojson(indent=2) }} {{ {} | tojson }} {{ (1, 2.0, 1e20, "é\u2028\u007f\n", true, none) | tojson }} {{ "é" | tojson(ensure_ascii=true) }} {{ {"b": 1, "a": {"d": 1, "c": 2}} | tojson(sort_keys=true) }} {{ {1: 2, none: 3} | tojson }} {{ [1, 2] | tojson(separators=(",", ":")) }}
{{ '{"a": [1, 2.5, null, "x"]}' | from_json }}
{{ missing is defined }} {{ n is defined }} {{ missing is undefined }} {{ no is none }} {{ yes is true }} {{ 1 is true }} {{ 0 is false }} {{ yes is boolean }} {{ n is integer }} {{ yes is integer }} {{ f is float }} {{ s is string }} {{ d is mapping }} {{ l is sequence }} {{ d is sequence }} {{ s is iterable }} {{ 5 is iterable }} {{ n is number }} {{ yes is number }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ "a" is lower }} {{ "A" is upper }} {{ n is eq 7 }} {{ n is ne(7) }} {{ n is gt 3 }} {{ 1 is in [1] }} {{ l is sameas l }} {{ range is callable }} {{ "upper" is filter }} {{ "odd" is test }} {{ n is not defined }} {{ n is not none and yes }} {{ l | map("upper") is iterable }}
{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ "," if not loop.last }}{% endfor %} {% for x in [] %}x{% else %}none{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for x in l %}{{ loop.first }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle("a", "b") }}{{ loop.changed(x > 1) }} {% endfor %}
{% for x in range(10) if x % 3 == 0 %}{{ loop.index }}{{ x }}{{ loop.last }}{{ loop.length }} {% endfor %} {% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for a in [[1, [2, [3]]]] recursive %}{{ loop.depth }}{{ a if a is number else loop(a) }}{% endfor %} {% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }} {% if true %}{% set y = 5 %}{% endif %}{{ y }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }}
{% set ns = namespace(c=0, x="a") %}{% for i in l %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}{{ ns.x }}{{ ns.zzz }}{% set ns.new = 1 %}{{ ns.new }}{{ ns["x"] }}
{% set block %}a{{ n }}b{% endset %}{{ block }} {% set up | upper | trim %} x{{ n }} {% endset %}{{ up }}| {% filter upper | replace("A", "4") %}banana{% endfilter %}
{% macro m(a, b=2, c="x" ~ b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(b=5, a=4) }} {{ m() }} {{ m(*[1, 2]) }} {{ m(**{"a": 9}) }}
{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, x=3) }} {% macro c(x) %}[{{ caller(x) }}]{% endmacro %}{% call(y) c(5) %}{{ y }}{{ n }}{% endcall %} {% macro r(k) %}{{ k }}{% if k > 0 %}{{ r(k - 1) }}{% endif %}{% endmacro %}{{ r(3) }}
{% macro seen() %}{{ late }}{% endmacro %}{% set late = "now" %}{{ seen() }} {% macro o() %}{{ n }}{% set n = 1 %}{{ n }}{% endmacro %}{{ o() }}{{ n }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set a = 9 %}{{ a }}{% endwith %}{{ a }}| {% block x %}in{{ n }}{% endblock %} {% generation %}g{{ n }}{% endgeneration %}
{%- if n == 1 -%} one {%- elif n == 7 -%} seven {%- else -%} else {%- endif -%} | {# comment #} {#- c -#} | {% raw %}{{ not }}{% endraw %} {{- " x " -}} |
  {% if true %}
    a
  {%- endif %}   b {{ n -}}   c
{% set c = cycler("a", "b") %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }} {% set j = joiner("; ") %}{{ j() }}1{{ j() }}2 {{ dict(a=1, **{"b": 2}) }} {{ range(3) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }}
{% set l2 = [1] %}{% set _ = l2.append(2) %}{% set _ = l2.extend([3, 4]) %}{% set _ = l2.insert(0, 0) %}{{ l2 }} {{ l2.pop() }} {{ l2.pop(0) }} {{ l2.index(2) }} {{ l2.count(1) }} {{ l2 }} {% set dd = {"a": 1} %}{% set _ = dd.update({"b": 2}) %}{{ dd }} {{ dd.pop("a") }} {{ dd }}
{{ strftime_now("%d %B %Y %H:%M") }} {{ l is sequence and d is mapping }} {{ [1, 2] == [1, 2] }} {{ {"a": 1} == {"a": 1} }} {{ "a" < "b" }} {{ [1, 2] < [1, 3] }} {{ 1 == "1" }} {{ none == none }} {{ missing == missing2 }}
{{ n.foo }} {{ s.foo }} {{ no.foo }} {{ missing or "fallback" }} {{ (missing | default({})).x }} {{ l | length == 3 }} {{ (l | length) + 1 }} {{ -n | abs }} {{ n | string | length }} {{ 1 ~ 2 | string }}
{{ missing.foo }}
{{ missing + 1 }}
{{ 1 / 0 }}
{{ "a" + 1 }}
{{ none + 1 }}
{{ l.foo() }}
{{ n() }}
{{ raise_exception("stop " ~ n) }}
{{ l | sort(attribute="x.y") }}
{{ {}["a"]["b"] }}
{{ "%d" % "x" }}
{{ "%s %s" % "x" }}
{{ {[1]: 2} }}
{{ "a" < 1 }}
{{ none | length }}
{% for x in none %}{% endfor %}
{% for a, b in [[1]] %}{% endfor %}
{% set d.x = 1 %}
{{ "x" | nosuchfilter }}
{{ "x" is nosuchtest }}
{% if false %}{{ "x" | nosuchfilter }}{% endif %}ok
{% nosuchtag %}
{{ 1 +
{{ (1 }}
{% if 1 %}
{% for %}{% endfor %}
{% endif %}
{{ "abc }}
{{ m(1, a=2, 3) }}
{% macro m(a=1, b) %}{% endmacro %}
{% break %}
{{ 1 2 }}
{% set 1 = 2 %}
{% macro q(a) %}{{ a }}{% endmacro %}{{ q(1, 2) }}
{% macro q(a) %}{{ a }}{% endmacro %}{{ q(b=2) }}
{{ range(200000) | length }}
{{ "a" * 3 if n > 3 }}{{ "" ~ (l | map("abs") | sum) }}{{ l | map("nosuch") | list }}
""".strip("\n").split("\n")
