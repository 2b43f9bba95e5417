"""The options of llama.cpp's server, out of the text of its common/arg.cpp and common/common.h.

An option is one `add_opt(common_arg({names}, [{negated names},] ["HINT",] help, handler).set_...)`. Its default is the
initial value of the member of common_params that the help text prints after "default:", or the words that stand there.
"""
import re

from snapshot_options import AT_RUN_TIME, deprecation, option

TOKEN = re.compile(r'R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|//[^\n]*|/\*(?:.|\n)*?\*/|[()\[\]{},;]|[^"\'/()\[\]{},;]+|/')
FORMAT = re.compile(r"%[-+0 #]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?([diuxcsfgeX])")
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
ENUM_WORD = re.compile(r"(?:GGML|LLAMA|COMMON)_(?:TYPE_|ROPE_SCALING_TYPE_|POOLING_TYPE_|SPLIT_MODE_|LOAD_MODE_|REASONING_FORMAT_|NUMA_STRATEGY_|\w+?_TYPE_)"
                       r"(\w+)$")
LISTED = re.compile(r"^ *- '?([\w+-]+)'?(?: \(default\))?:|^ *'([\w+-]+)'(?: \(default\))?:", re.M)
WORDS = {"enabled": True, "disabled": False, "true": True, "false": False, "none": None, "unused": None, "unset": None, "empty": None}


def pieces(text):
    """The text as tokens, comments left out."""
    return [t for t in TOKEN.findall(text) if not t.startswith(("//", "/*"))]


def closing(tokens, at):
    """The index of the bracket that closes the one at tokens[at]."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i] in ("(", "[", "{")) - (tokens[i] in (")", "]", "}"))
        if depth == 0:
            return i
    raise ValueError("a bracket is not closed")


def split(tokens):
    """The parts between commas outside of brackets."""
    parts, depth = [[]], 0
    for token in tokens:
        depth += (token in ("(", "[", "{")) - (token in (")", "]", "}"))
        if token == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return ["".join(p).strip() for p in parts]


def strings(text):
    return [s.encode().decode("unicode_escape") if "\\" in s else s for s in STRING.findall(text)]


def structs(text):
    """{struct: {member: (type, initial value or None)}} of a header."""
    found = {}
    tokens = pieces(text)
    flat = "".join(tokens)
    for match in re.finditer(r"\bstruct\s+(\w+)\s*\{", flat):
        inner = pieces(flat[match.end() - 1:])
        body = inner[1:closing(inner, 0)]
        members, statement, depth = {}, [], 0
        for token in body:
            depth += (token in ("(", "[", "{")) - (token in (")", "]", "}"))
            if token == ";" and depth == 0:
                words = re.match(r"\s*((?:[\w:]|<[^;=]*>|\s|\*)+?)\s*\b(\w+)\s*(?:\[[^\]]*\]\s*)?(?:=\s*([\s\S]+))?$", "".join(statement))
                if words:
                    members[words.group(2)] = (words.group(1).replace("struct ", "").replace("enum ", "").strip(),
                                               words.group(3).strip() if words.group(3) else None)
                statement = []
            else:
                statement.append(token)
        found[match.group(1)] = members
    return found


def enums(text):
    """{member: number} of the enums of a header."""
    found = {}
    for body in re.findall(r"\benum\s+\w+\s*\{([^}]*)\}", "".join(pieces(text))):
        number = -1
        for member in filter(None, map(str.strip, body.split(","))):
            name, _, said = member.partition("=")
            number = int(said, 0) if re.fullmatch(r"\s*-?(0x[0-9a-fA-F]+|\d+)\s*", said) else number + 1
            found[name.strip()] = number
    return found


def defines(text):
    """{name: value} of `#define NAME value`, and of static const numbers."""
    found = dict(re.findall(r"^\s*#define\s+(\w+)\s+(\S+)", text, re.M))
    found.update(re.findall(r"(?:constexpr|const)\s+\w+\s+(\w+)\s*=\s*([-\w.\"]+);", text))
    return found


class Values:
    """What the members of common_params are at first, as the server sees them."""

    def __init__(self, arg_cpp, headers):
        self.structs, self.defines, self.enums = {}, {}, {}
        for header in headers:
            self.enums.update(enums(header))
            self.structs.update(structs(header))
            self.defines.update(defines(header))
        server = re.search(r"ex == LLAMA_EXAMPLE_SERVER\)\s*\{([^}]*)\}", arg_cpp)
        self.server = dict(re.findall(r"params\.([\w.]+)\s*=\s*([^;]+);", server.group(1))) if server else {}

    def member(self, path):
        """(C++ type, value text) of params.PATH; None where no such member is found."""
        of, initial = "common_params", None
        for name in path.split("."):
            if name not in self.structs.get(of, {}):
                return None
            of, initial = self.structs[of][name]
        return of, self.server.get(path, initial)

    def value(self, text):
        """(known, value) of a C++ initializer."""
        text = self.defines.get(text, text) if text else text
        if text is None:
            return False, None
        if text in ("true", "false"):
            return True, text == "true"
        if re.fullmatch(r'"(?:\\.|[^"\\])*"', text):
            return True, strings(text)[0]
        if re.fullmatch(r'\{\s*("(?:\\.|[^"\\])*"\s*,?\s*)+\}', text):
            return True, strings(text)
        number = re.fullmatch(r"\(?\s*(-?(?:0x[0-9a-fA-F]+|\d+\.?\d*(?:e-?\d+)?))[fFuUlL]*\s*\)?", text)
        if number:
            digits = number.group(1)
            return True, int(digits, 16) if "0x" in digits else float(digits) if "." in digits or "e" in digits else int(digits)
        if re.fullmatch(r"[-\d\s.*+fuU()]+", text):
            product = 1
            for part in re.findall(r"-?\d+", text) if re.fullmatch(r"-?\d+(\s*\*\s*\d+)+", text) else [None]:
                product = product * int(part) if part else None
            return product is not None, product
        word = ENUM_WORD.match(text)
        return (True, word.group(1).lower()) if word else (False, None)


def default_of(help_text, arguments, values):
    """(default, note) by what stands behind "default" in a help text with these arguments of its format."""
    at = re.search(r"default(?:s to|:| is|\s*=)\s*", help_text, re.I)
    if not at:
        return None, None
    rest = help_text[at.end():].strip()
    if rest.startswith(('""', "''")):
        return "", None
    rest = rest.lstrip("'\"")
    used = len(FORMAT.findall(help_text[:at.end()]))
    directive = FORMAT.match(rest) or re.match(r"%", rest)
    if directive and used < len(arguments):
        expression = arguments[used]
        members = re.findall(r"params\.(\w+(?:\.(?!c_str\b)\w+)*)", expression)
        member = values.member(members[0]) if members else None
        if member is None:
            return (values.defines[expression], None) if expression in values.defines else (None, AT_RUN_TIME)
        known, value = values.value(member[1])
        if directive.group(0) == "%d" and member[1] in values.enums:
            known, value = True, values.enums[member[1]]
        if not known and member[1] is None:
            known, value = (True, "") if "string" in member[0] else (False, None)
        choice = re.match(r".*\?\s*\"([^\"]*)\"\s*:\s*\"([^\"]*)\"", expression, re.S)
        if known and choice:
            test = re.search(r"==\s*(-?\d+)", expression)
            truth = value == int(test.group(1)) if test else bool(value)
            word = choice.group(1 if truth else 2)
            value = WORDS.get(word, word)
        value = -1 if value == 0xFFFFFFFF and directive.group(0) == "%d" else value
        return (value, None) if known else (None, AT_RUN_TIME)
    word = re.match(r"[^,);\n'\"]*", rest).group(0).strip()
    if re.fullmatch(r"-?\d+(\.\d+)?", word):
        return (float(word) if "." in word else int(word)), None
    if word in WORDS:
        return WORDS[word], None
    same = re.match(r"(?:same as )?(--[\w-]+)", word)
    if re.fullmatch(r"[\w.:/-]+", word) and not same:
        return word, None
    return None, f"as {same.group(1)}" if same else AT_RUN_TIME


def one(tokens, tail, values, types):
    """The entry of one common_arg(...) with the calls that follow it, or None where the server has it not."""
    parts = split(tokens)
    names, negated, hints = strings(parts[0]), [], []
    rest = parts[1:]
    if rest and rest[0].startswith("{"):
        negated = strings(rest.pop(0))
    handler = next(i for i, p in enumerate(rest) if p.startswith("["))
    takes = re.match(r"\[[^\]]*\]\s*\(([^)]*)\)", rest[handler])
    signature = re.split(r",", takes.group(1))[1:] if takes else []
    hints, help_ = rest[:handler - 1], rest[handler - 1]
    body = rest[handler]
    arguments = []
    if help_.startswith("string_format"):
        inner = pieces(help_[help_.index("("):])
        arguments = split(inner[1:closing(inner, 0)])
        help_, arguments = arguments[0], arguments[1:]
    help_ = re.sub(r'"\s*PRI\w(\d+)\s*"?', 'd"', help_)
    text = "".join(strings(help_))
    examples = re.search(r"set_examples\(\{([^}]*)\}", tail)
    if examples and not re.search(r"LLAMA_EXAMPLE_(SERVER|COMMON)\b", examples.group(1)):
        return None
    if re.search(r"set_excludes\(\{[^}]*LLAMA_EXAMPLE_SERVER\b", tail) or "set_preset_only" in tail:
        return None
    env = re.search(r'set_env\("(\w+)"', tail)
    hint = (strings(hints[0]) or [""])[0] if hints else ""
    more = {"env": env.group(1) if env else None,
            "group": "sampling" if "set_sampling" in tail else "speculative" if "set_spec" in tail else
            "server" if examples and "COMMON" not in examples.group(1) else "common"}
    default, note = default_of(text, arguments, values)
    listing = [a or b for a, b in LISTED.findall(text)] if re.fullmatch(r"[A-Z]+|", hint) else []
    marked = re.search(r"^ *(?:- *)?'?([\w-]+)'? \(default\)", text, re.M)
    if marked and default is None:
        default, note = marked.group(1), None
    stored = re.fullmatch(r"\[[^{]*\{\s*params\.(\w+(?:\.\w+)*)\s*=\s*value;\s*\}", body)
    if default is None and note is None and "default" not in text and stored and values.member(stored.group(1)):
        default = values.value(values.member(stored.group(1))[1])[1]
    kind = signature[0].split()[0] if signature else "void"
    listed = re.fullmatch(r"\s*[\[{<]?([\w-]+(?:\s*[|,]\s*[\w-]+)+)[\]}>]?\s*", hint)
    word = "str"
    if kind == "void":
        word, default, note = "bool", default is True, None
    elif kind == "bool":
        word, note = "bool", note or (AT_RUN_TIME if default is None else None)
    elif kind == "int":
        word = "int"
    elif listed and "..." not in hint and "lo-hi" not in hint and not re.match(r"[A-Zn]\w*\d", listed.group(1)):
        choices = re.split(r"\s*[|,]\s*", listed.group(1))
        numeric = all(c.isdigit() for c in choices)
        more["choices"], word = ([int(c) for c in choices] if numeric else choices), "int" if numeric else "choice"
    elif len(signature) > 1:
        word = "list"
    elif len(listing) > 1:
        word, more["choices"] = "choice", listing + [default] * (isinstance(default, str) and default not in listing)
    elif re.search(r"std::sto(f|d)\(|strtof|strtod", body) and "split" not in body and re.fullmatch(r"[A-Z0-9]*", hint):
        word = "float"
    elif re.search(r"std::sto(i|ul|ull|l|ll)\(", body) and "split" not in body and "'auto'" not in text:
        word = "int"
    elif "," in hint or "comma-separated" in text or re.search(r"(push|emplace)_back\(value\)", body):
        word = "list"
    elif "JSON" in hint:
        word = "json"
    if word == "int" and isinstance(default, bool) and note is None:
        default = int(default) if "%u" in text or "%d" in text else None
    elif word not in ("bool", "str") and default is False:
        default = None
    if word == "str" and isinstance(default, bool):
        default = None
    if word == "str" and isinstance(default, (int, float)):
        word = "float" if isinstance(default, float) else "int"
    if word == "list" and isinstance(default, str) and default:
        default = re.split(r"\s*,\s*", default)
    if "get_all_kv_cache_types" in "".join(arguments):
        more["choices"], word = types, "choice"
    removed = re.match(r"the argument has been removed\. *(?:use (?:the respective )?(.*))?", text)
    if removed:
        more["deprecated"] = "removed" + (f"; use {removed.group(1)}" if removed.group(1) else "")
    else:
        more["deprecated"] = deprecation(text) or ("deprecated" if "DEPRECATED" in text else None)
    names.sort(key=lambda n: not n.startswith("--"))
    long = [n for n in names if n.startswith("--")]
    entry = option(long[0] if long else names[0], [n for n in names if n != (long[0] if long else names[0])], default,
                   type=word, default_note=note, negatable=bool(negated), **more)
    if negated and negated[-1] != "--no-" + entry["name"].lstrip("-"):
        entry["negated"] = negated
    return entry


def read(arg_cpp, headers):
    """The server's options, in order of the source."""
    values = Values(arg_cpp, headers)
    tokens = pieces(arg_cpp)
    enum = re.search(r"kv_cache_types\s*=\s*\{([^}]*)\}", "".join(tokens))
    types = [t.lower() for t in re.findall(r"GGML_TYPE_(\w+)", enum.group(1))] if enum else []
    found, i = {}, 0
    while i < len(tokens):
        if tokens[i].rstrip().endswith("add_opt") and "".join(tokens[i + 1:i + 4]).strip().startswith("(common_arg"):
            end = closing(tokens, i + 1)
            open_ = i + 3
            close = closing(tokens, open_)
            entry = one(tokens[open_ + 1:close], "".join(tokens[close + 1:end]), values, types)
            if entry and entry["name"] not in found:
                found[entry["name"]] = entry
            i = end
        i += 1
    return list(found.values())
