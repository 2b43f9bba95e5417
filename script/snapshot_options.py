"""What a snapshot says of one option, and how it is read from a type, a field of a class or a call of add_argument."""
import ast
import json
import re

from snapshot_names import ClassNames
from snapshot_values import Class, EnumMember, External, Function, Hint, Record, Scope, Unknown

AT_RUN_TIME = "set at run time"
PLAIN = {"int": "int", "float": "float", "str": "str", "bool": "bool", "dict": "json", "Dict": "json", "Mapping": "json", "loads": "json",
         "Path": "str", "PathLike": "str", "SecretStr": "str", "PositiveInt": "int", "NonNegativeInt": "int", "PositiveFloat": "float",
         "NonNegativeFloat": "float", "StrictBool": "bool", "StrictInt": "int"}
SEQUENCES = ("list", "tuple", "set", "Sequence", "Iterable", "frozenset", "FrozenSet")
NAMED_BOUNDS = {"Positive": ("above", 0), "NonNegative": ("min", 0)}
BOUNDS = {"ge": "min", "gt": "above", "le": "max", "lt": "below"}
# Of the option itself, not of one of its values or of another: a sentence that begins so, or whose subject is "this".
DEPRECATED = re.compile(
    r"(?:^|[.!;:]\s+|[\[(*])\W*(?:deprecated\b(?!\s+(?:prom|metric|model|quant))"
    r"|(?:(?:this|the) (?:option|flag|argument|parameter|field|setting|alias|method)|this|it|[`']?--[\w-]+[`']?|[`']?\w+_\w+[`']?(?: \(--[\w-]+\))?)"
    r" (?:is|has been|are|was) (?:now )?(?:deprecated|removed|no longer used))", re.I)
REMOVED = re.compile(r"(?:removed|removal|remove)\s+(?:[a-z]+\s+){0,3}?(?:in|by|after|as of)\s+(?:the\s+)?(?:version\s+)?"
                     r"(v?\d+(?:\.\d+)*|(?:a |the next |next |future )+[a-z]*\s*(?:release|version)s?)", re.I)
INSTEAD = re.compile(r"(?:use|favou?r of|replaced by|prefer|superseded by|alias (?:for|of))\s+[^-.`'\"\w]*(?:the\s+)?[`'\"]*"
                     r"(--[a-z][\w.-]*\w|[a-z]\w*_\w+(?=[`'\"]))", re.I)


def deprecation(text):
    """Our words for what a help text says of the end of its option; None where it says nothing of the kind."""
    text = " ".join(text.split())
    if not DEPRECATED.search(text):
        return None
    removed, instead = REMOVED.search(text), INSTEAD.search(text)
    words = ["deprecated"]
    if re.search(r"no effect|no longer|ignored|no-op", text, re.I):
        words.append("has no effect")
    if removed:
        words.append(f"to be removed in {removed.group(1)}")
    if instead:
        words.append(f"use {instead.group(1)}")
    return "; ".join(words)


def leaves(interpreter, value, scope):
    """The alternatives of a type expression, without None; strings in it are read as types."""
    if isinstance(value, str):
        try:
            return leaves(interpreter, interpreter.eval(ast.parse(value.strip(), mode="eval").body, scope), scope)
        except SyntaxError:
            return [Unknown()]
    if value is None or isinstance(value, External) and value.path in ("types.NoneType", "builtins.None"):
        return []
    if isinstance(value, Hint) and value.kind in ("Union", "Optional", "Annotated", "ClassVar", "Final", "Required", "NotRequired", "SkipValidation"):
        parts = value.args[:1] if value.kind == "Annotated" else value.args
        return [leaf for part in parts for leaf in leaves(interpreter, part, scope)]
    return [value]


def literals(found, interpreter, scope):
    """The values of the Literal types among leaves, also of nested ones."""
    values = []
    for leaf in found:
        if isinstance(leaf, Hint) and leaf.kind == "Literal":
            for arg in leaf.args:
                values += literals([arg], interpreter, scope) if isinstance(arg, Hint) else [getattr(arg, "value", arg)]
    return values


def kind(leaf):
    """The type word of one alternative, or None."""
    if isinstance(leaf, External):
        return PLAIN.get(leaf.path.split(".")[-1], "list" if leaf.path.split(".")[-1] in SEQUENCES else None)
    if isinstance(leaf, Hint):
        return "list" if leaf.kind in SEQUENCES else PLAIN.get(leaf.kind)
    if isinstance(leaf, Class) and not leaf.is_enum():
        of_dict = any(isinstance(b, Hint) and b.kind == "dict" for c in leaf.mro() for b in c.bases)
        return "json" if leaf.is_record() or of_dict or {"dict", "TypedDict"} & leaf.outside() else None
    return None


def of_type(interpreter, value, scope):
    """{"type":, "choices" or "known_values":} of a type expression. known_values: there are others too."""
    found = leaves(interpreter, value, scope)
    kinds = [kind(leaf) for leaf in found]
    values = literals(found, interpreter, scope)
    enums = [leaf for leaf in found if isinstance(leaf, Class) and leaf.is_enum()]
    for enum in enums:
        values += [word_of(m) for m in interpreter.members(enum)]
    records = [leaf for leaf in found if isinstance(leaf, Class) and kind(leaf) == "json"]
    if records:
        names = [n for n in fields(interpreter, records[0]) if not n.startswith("_")] if records[0].is_record() else []
        return {"type": "json", "json_keys": names} if names else {"type": "json"}
    if "bool" in kinds:
        return {"type": "bool"} if not (values or "str" in kinds) else {"type": "str", "known_values": values}
    if values:
        is_open = "str" in kinds or len(enums) + sum(isinstance(f, Hint) and f.kind == "Literal" for f in found) < len(found)
        type_ = "choice" if all(isinstance(v, str) for v in values) else "int" if all(isinstance(v, int) for v in values) else "str"
        return {"type": "str" if is_open and type_ == "choice" else type_, "known_values" if is_open else "choices": list(dict.fromkeys(values))}
    for word in ("list", "int", "float", "str", "json"):
        if word in kinds:
            named = [f.path.split(".")[-1] for f in found if isinstance(f, External)]
            result = {"type": word, **dict(bound for n in named for k, bound in NAMED_BOUNDS.items() if n.startswith(k))}
            if word == "list":
                inner = [of_type(interpreter, f.args[0], scope) for f in found if isinstance(f, Hint) and kind(f) == "list" and f.args]
                result.update({k: v for k, v in (inner[0] if inner else {}).items() if k == "choices"})
            return result
    return {"type": "str"}


def word_of(member):
    """What a user writes for a member of an enum: its value, its name where the value is a number of the machine or a place in the program."""
    value = member.value
    plain_ = isinstance(value, int) and not isinstance(value, bool) or isinstance(value, str) and value and value.count(".") < 2
    return value if plain_ else member.name


def of_callable(interpreter, value):
    """The type word of what argparse gets as type=."""
    if isinstance(value, str):
        return value
    if isinstance(value, External):
        return PLAIN.get(value.path.split(".")[-1], "str")
    if isinstance(value, Class):
        return "choice" if value.is_enum() else "str"
    if isinstance(value, Function):
        returns = getattr(value.node, "returns", None)
        if returns is not None:
            scope = Scope(value.module)
            found = [k for k in map(kind, leaves(interpreter, interpreter.eval(returns, scope), scope)) if k]
            if found:
                return found[0]
        if isinstance(value.node, ast.Lambda) and isinstance(value.node.body, ast.ListComp):
            return "list"
        name = value.name.lower()
        return next((word for part, word in (("json", "json"), ("dict", "json"), ("bool", "bool"), ("float", "float"), ("int", "int"),
                                             ("list", "list")) if part in name), "str")
    return "str"


def plain(value):
    """(value as YAML can hold it, note) of a default."""
    if isinstance(value, EnumMember):
        return word_of(value), None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value, None
    if isinstance(value, Record):
        return ({}, None) if not value.owner.is_record() and kind(value.owner) == "json" else (None, f"the defaults of {value.owner.name}")
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(v)[0] for v in (value if isinstance(value, (list, tuple)) else sorted(value, key=str))]
        return (None, AT_RUN_TIME) if any(v is None for v in items) else (items, None)
    if isinstance(value, dict):
        pairs = {str(plain(k)[0]): plain(v)[0] for k, v in value.items()}
        return (None, AT_RUN_TIME) if any(v is None for v in pairs.values()) else (pairs, None)
    if isinstance(value, External) and value.path.startswith("torch."):
        return value.path.split(".")[-1], None
    return None, AT_RUN_TIME


def option(name, aliases=(), default=None, **more):
    """One entry, in the order in which it is written; what is empty is left out, default never."""
    value, note = plain(default)
    entry = {"name": name, "aliases": [a for a in dict.fromkeys(aliases) if a != name], "type": more.pop("type", "str"), "default": value,
             "default_note": more.pop("default_note", None) or note}
    if entry["type"] == "int" and isinstance(value, float) and value.is_integer():
        entry["default"] = int(value)
    if entry["type"] in ("int", "float", "bool") and isinstance(value, str) or entry["type"] == "str" and isinstance(value, bool):
        entry["type"] = "str"  # of a union, as int or "auto"
    choices = more.pop("choices", None)
    if isinstance(choices, (list, tuple, set, dict)) and choices:
        known = [plain(c)[0] for c in (sorted(choices, key=str) if isinstance(choices, set) else choices) if c is not None]
        more["choices"] = [c for c in dict.fromkeys(known) if c is not None]
        more["choices_note"] = AT_RUN_TIME if None in known else None
    for key in ("choices", "choices_note", "known_values", "json_keys", "min", "above", "max", "below", "negatable", "repeatable", "required",
                "env", "group", "deprecated"):
        value = more.get(key)
        if isinstance(value, (int, float, str, list)) and value is not False and value not in ("", []):
            entry[key] = value
    return {k: v for k, v in entry.items() if k == "default" or v not in (None, [], "")}


class Parser:
    """Stands for an ArgumentParser or a group of one; collects what is added."""

    def __init__(self, interpreter, found=None, group=None):
        self.interpreter, self.found, self.group = interpreter, found if found is not None else [], group

    def call_add_argument_group(self, title=None, *_, **kwargs):
        title = kwargs.get("title", title)
        return Parser(self.interpreter, self.found, title if isinstance(title, str) else self.group)

    def call_add_mutually_exclusive_group(self, *_, **__):
        return self

    call_add_subparsers = call_add_parser = call_add_mutually_exclusive_group

    def call_set_defaults(self, **kwargs):
        for entry in self.found:
            name = entry["name"].lstrip("-").replace("-", "_")
            if name in kwargs:
                entry["default"] = plain(kwargs[name])[0]

    def call_add_argument(self, *names, **kwargs):
        flags = [n for n in names if isinstance(n, str) and n.startswith("-")]
        if not flags:
            return Unknown()  # a positional argument, which is no flag
        flags.sort(key=lambda n: not n.startswith("--"))
        action, nargs, of = kwargs.get("action"), kwargs.get("nargs"), kwargs.get("type")
        word = action if isinstance(action, str) else getattr(action, "name", None) or getattr(action, "path", "").split(".")[-1]
        help_ = kwargs.get("help")
        help_ = help_ if isinstance(help_, str) else getattr(help_, "text", "") or ""
        more = {"choices": kwargs.get("choices"), "known_values": kwargs.get("known_values"), "json_keys": kwargs.get("json_keys"), "env": kwargs.get("env"), "group": self.group,
                "required": kwargs.get("required") is True, "deprecated": deprecation(help_) or kwargs.get("deprecated")}
        if more["deprecated"] is True:
            more["deprecated"] = "deprecated"
        default = kwargs.get("default")
        if word in ("store_true", "store_false", "BooleanOptionalAction"):
            more.update(type="bool", negatable=word == "BooleanOptionalAction")
            default = {"store_true": False, "store_false": True}.get(word) if "default" not in kwargs else default
        elif "StoreTrue" in (word or ""):
            more["type"], default = "bool", False
        elif word in ("append", "extend") or nargs in ("+", "*") or isinstance(nargs, int):
            more.update(type="list", repeatable=word in ("append", "extend"))
        elif word == "count":
            more.update(type="int")
        else:
            more["type"] = of_callable(self.interpreter, of) if of is not None else "str"
            if isinstance(of, Class) and of.is_enum() and not more["choices"]:
                more["choices"] = self.interpreter.members(of)
        if isinstance(more["choices"], Class):
            more["choices"] = self.interpreter.iterate(more["choices"])
        if isinstance(more["choices"], Unknown):
            more["choices"] = [more["choices"]]
        if more["choices"] and more["type"] == "str":
            more["type"] = "choice"
        if isinstance(word, str) and "deprecated" in word.lower():
            new = kwargs.get("new_flag")
            more["deprecated"] = f"deprecated; use {new}" if isinstance(new, str) else more["deprecated"] or "deprecated"
        if "ignored" in (word or "").lower() and not more["deprecated"]:
            more["deprecated"] = "deprecated; has no effect"
        if more["type"] in ("choice", "str") and default is False:
            default = None
        for key in ("min", "above", "max", "below"):
            more[key] = kwargs.get(key)
        if isinstance(default, External) and default.path.endswith("SUPPRESS"):
            default = None
        note, declared = kwargs.get("default_note"), plain(kwargs.get("declared_default"))[0]
        if default is None and declared is not None:
            note = f"{AT_RUN_TIME}; the class says {json.dumps(declared)}"
        entry = option(flags[0], flags[1:], default, default_note=note, **more)
        self.found[:] = [e for e in self.found if e["name"] != entry["name"]] + [entry]
        return Unknown()


def field_hook(interpreter, args, kwargs):
    """dataclasses.field and pydantic.Field: what a field says beside its type."""
    spec = {"__field__": True, **{v: kwargs[k] for k, v in BOUNDS.items() if isinstance(kwargs.get(k), (int, float))}}
    factory = kwargs.get("default_factory", kwargs.get("factory"))
    if factory is not None:
        spec["default"] = interpreter.call(factory, [], {})
    else:
        default = kwargs.get("default", args[0] if args else None)
        spec["required"] = "default" not in kwargs and not args or default is Ellipsis
        spec["default"] = None if default is Ellipsis else default
    for name in ("description", "status", "deprecated", "alias", "init", "json_schema_extra"):
        if name in kwargs:
            spec[name] = kwargs[name]
    return spec


def fields(interpreter, cls):
    """{name: {"hint":, "scope":, "doc":, "default":, "has_default":, bounds ...}} of a class and its bases, in order."""
    found = {}
    for at in reversed(cls.mro()):
        scope, body = Scope(at.module), list(interpreter.class_body(at))
        for i, node in enumerate(body):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            hint = interpreter.eval(node.annotation, scope)
            if isinstance(hint, Hint) and hint.kind in ("ClassVar", "InitVar") or "ClassVar" in ast.unparse(node.annotation):
                continue
            after = body[i + 1] if i + 1 < len(body) else None
            doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            value = interpreter.eval(node.value, Scope(at.module, ClassNames(interpreter, at, node.target.id))) if node.value is not None else None
            spec = {"default": value, "required": node.value is None}
            for part in [value, *(hint.args[1:] if isinstance(hint, Hint) and hint.kind == "Annotated" else [])]:
                if isinstance(part, dict) and "__field__" in part:
                    spec.update(part if part is value else {k: v for k, v in part.items() if k not in ("default", "required")})
            found[node.target.id] = {"hint": hint, "scope": scope, "doc": doc if isinstance(doc, str) else "", **spec}
    return found
