"""The keys of engines that are set up by a file, and the options of those written in other languages or with other libraries."""
import json
import re

from snapshot_interpreter import Interpreter
from snapshot_options import Parser, deprecation, field_hook, fields, leaves, of_type, option
from snapshot_values import Class, External, Hint, Scope, Unknown

FIELD_HOOKS = {"Field": field_hook, "field": field_hook, "FieldInfo": field_hook, "PydanticField": field_hook}


# ---- pydantic --------------------------------------------------------------------------------------------------------


def keys_of(interpreter, cls, prefix="", group=None, skip=(), seen=()):
    """The keys of a configuration class; those of a class within it follow with dotted names."""
    found = []
    for name, field in fields(interpreter, cls).items():
        found_classes = [c for c in leaves(interpreter, field["hint"], field["scope"]) if isinstance(c, Class) and not c.is_enum()]
        of_object = isinstance(field["hint"], External) and field["hint"].path == "builtins.object"
        if name.startswith(("_", "model_config")) or name in skip or field.get("init") is False or of_object:
            continue
        shape = of_type(interpreter, field["hint"], field["scope"])
        extra = field.get("json_schema_extra") if isinstance(field.get("json_schema_extra"), dict) else {}
        words = deprecation(str(field.get("description") or field["doc"] or ""))
        if field.get("deprecated") or extra.get("deprecated") or "deprecated" in (field.get("status"), extra.get("status")):
            words = words or "deprecated"
            words = f"deprecated; use {extra['new_param']}" if extra.get("new_param") else words
        shape.pop("json_keys", None)
        entry = option(prefix + name, [field["alias"]] if isinstance(field.get("alias"), str) else [], field["default"], deprecated=words,
                       group=group or cls.name, required=field["required"], **{**shape, **{k: field[k] for k in ("min", "above", "max", "below") if k in field}})
        found.append(entry)
        inner = [c for c in found_classes if c.is_record() or c.outside() & {"BaseModel"}]
        if shape["type"] == "json" and len(inner) == 1 and inner[0].node not in seen and not words:
            found += keys_of(interpreter, inner[0], f"{prefix}{name}.", group or cls.name, skip, (*seen, cls.node, inner[0].node))
    return found


def deepspeed(sources):
    interpreter = Interpreter(sources.read, hooks=FIELD_HOOKS)
    found = []
    for path, name in (("deepspeed.inference.config", "DeepSpeedInferenceConfig"), ("deepspeed.inference.v2.config_v2", "RaggedInferenceEngineConfig")):
        module = interpreter.module(path)
        if module is None:
            raise ValueError(f"no module {path}")
        found += keys_of(interpreter, interpreter.member(module, name), group=name)
    return found, {"kind": "yaml_key"}


# ---- click -----------------------------------------------------------------------------------------------------------


def click_options(interpreter, module, function):
    """The options that `@click.option(...)` adds to a command."""
    parser, scope = Parser(interpreter, group=function), Scope(module)
    for mark in module.bindings[function].decorator_list:
        call = interpreter.eval(mark.func, scope) if hasattr(mark, "func") else None
        if not isinstance(call, External) or call.path.split(".")[-1] != "option":
            continue
        names, kwargs = interpreter.items(mark.args, scope), {k.arg: interpreter.eval(k.value, scope) for k in mark.keywords if k.arg}
        names = [n for n in names if isinstance(n, str) and n.startswith("-")]
        negatable = [n for n in names if "/" in n]
        names = [n.split("/")[0] for n in names]
        if isinstance(kwargs.get("type"), Hint):
            kwargs["choices"] = kwargs.pop("type").args
        elif kwargs.get("type") is None and isinstance(kwargs.get("default"), (int, float)) and not kwargs.get("is_flag"):
            kwargs["type"] = External(f"builtins.{type(kwargs['default']).__name__}")
        if kwargs.get("is_flag") or negatable:
            kwargs["action"] = External("BooleanOptionalAction") if negatable else "store_true"
        elif kwargs.get("multiple"):
            kwargs["action"] = "append"
        parser.call_add_argument(*names, **{k: v for k, v in kwargs.items() if k in ("type", "default", "choices", "action", "help", "required")})
    return parser.found


def stability(_, args, __):
    return ("Deprecated. " if len(args) > 1 and args[1] == "deprecated" else "") + (args[0] if args and isinstance(args[0], str) else "")


def tensorrt_llm(sources):
    """Flags of `trtllm-serve serve`, and the keys of the file that its --config names."""
    hooks = {**FIELD_HOOKS, "Choice": lambda _, args, __: Hint("Literal", interpreter.iterate(args[0]) or [Unknown()]),
             "help_info_with_stability_tag": stability}
    interpreter = Interpreter(sources.read, hooks=hooks)
    serve, args = interpreter.module("tensorrt_llm.commands.serve"), interpreter.module("tensorrt_llm.llmapi.llm_args")
    if serve is None or args is None:
        raise ValueError("no tensorrt_llm/commands/serve.py or llmapi/llm_args.py")
    keys = keys_of(interpreter, interpreter.member(args, "TorchLlmArgs"), group="TorchLlmArgs")
    return click_options(interpreter, serve, "serve"), {"keys": keys}


# ---- llm-d -----------------------------------------------------------------------------------------------------------

GO_TYPES = {"string": "str", "bool": "bool", "int": "int", "int32": "int", "int64": "int", "uint": "int", "float64": "float", "float32": "float"}
GO_FIELD = re.compile(r'((?:^\s*//[^\n]*\n)*)^\s*(\w+)\s+([\[\]*\w.]+)\s+`json:"(\w+)[^"]*"', re.M)


def go_keys(text, name, prefix=""):
    """The keys of a Go struct by its json tags; x[].y are those of the items of a list."""
    body = re.search(rf"^type {name} struct \{{(.*?)^\}}", text, re.M | re.S)
    found = []
    for comment, _, type_, key in GO_FIELD.findall(body.group(1) if body else ""):
        base = type_.lstrip("*[]")
        words = " ".join(comment.replace("//", " ").split())
        default = re.search(r"[Dd]efaults? to (true|false|\d+)\b|\"([\w-]+)\" is used by default|Default: ([\w.-]+)", words)
        value = next((g for g in default.groups() if g), None) if default else None
        value = {"true": True, "false": False}.get(value, int(value) if value and value.isdigit() else value)
        is_list = type_.lstrip("*").startswith("[]")
        alias = re.search(rf"^type {base} \[\]string", text, re.M)
        word = "list" if is_list or alias else GO_TYPES.get(base, "str" if "." in base and "Raw" not in base else "json")
        found.append(option(prefix + key, (), None if word == "json" else value, type=word, group=name,
                            required="+required" in words or "validation:Required" in words, deprecated=deprecation(words)))
        if word in ("list", "json") and not alias:
            found += go_keys(text, base, f"{prefix}{key}{'[]' if is_list else ''}.")
    return found


def llm_d_epp(sources):
    """The endpoint picker's configuration file, with the names of the plugins it knows."""
    at = sources.find(r"apix/config/v1alpha1/endpointpickerconfig_types\.go$")
    if not at:
        raise ValueError("no apix/config/v1alpha1/endpointpickerconfig_types.go")
    entries = go_keys(sources.need(at[0]), "EndpointPickerConfig")
    registered, constants = set(), {}
    for name in sources.find(r"^(pkg|cmd)/.*\.go$"):
        if name.endswith("_test.go") or re.search(r"(^|/)test(_|/)", name):
            continue
        text = sources.bytes(name).decode("utf-8", "replace")
        package = re.search(r"^package (\w+)", text, re.M)
        folder = name.split("/")[-2]
        consts = re.findall(r'^\s*(?:const\s+)?(\w*(?:Type|TypeName))\s*=\s*"([\w-]+)"', text, re.M)
        constants.update({(part, c): v for c, v in consts for part in (package.group(1) if package else "", folder)})
        imports = dict(re.findall(r'^\s*(\w+)\s+"[^"]*/([\w-]+)"', text, re.M))
        calls = re.findall(r"(?:plugin|fwkplugin|plugins)\.Register(?:AsDefault\w*)?\((?:(\w+)\.)?(\w+)\s*,\s*(?:\w+\.)?(\w+)([^\n]*)", text)
        if calls:
            sources.used.append(name)
        registered |= {(imports.get(p, p), c, bool(re.search("deprecated|legacy|backward compat", f + rest, re.I))) for p, c, f, rest in calls}
    names = {constants[p, c]: old for p, c, old in registered if (p, c) in constants}
    if not names:
        raise ValueError("no registered plugins found")
    for entry in entries:
        if entry["name"] == "plugins[].type":
            entry.update(type="choice", choices=sorted(names))
    entries += [option(f"plugins[].type={n}", (), None, type="json", group="plugin", deprecated="deprecated; kept for old files" if old else None)
                for n, old in sorted(names.items())]
    return entries, {"kind": "yaml_key"}


def llm_d(sources):
    """The values of the ModelService chart."""
    import yaml  # the one recipe that reads YAML
    at = sources.find(r"(^|/)charts/llm-d-modelservice/values\.yaml$")
    if not at:
        raise ValueError("no charts/llm-d-modelservice/values.yaml")
    text = sources.need(at[0])
    schema = json.loads(sources.read(at[0].replace("values.yaml", "values.schema.json")) or "{}")
    found, gone, path = [], {}, []
    for indent, key, comment in re.findall(r"^( *)([\w-]+):[^#\n]*(#[^\n]*)?$", text, re.M):
        path = [(i, k) for i, k in path if i < len(indent)] + [(len(indent), key)]
        old = re.match(r"# *deprecated(?:, use ([\w.-]+))?", comment or "", re.I)
        if old:
            gone[".".join(k for _, k in path)] = old.group(1)

    def leaf(name, value, said):
        word = {bool: "bool", int: "int", float: "float", list: "list", dict: "json"}.get(type(value))
        kinds = said.get("type")
        word = word or {"boolean": "bool", "integer": "int", "number": "float", "array": "list", "object": "json"}.get(
            kinds if isinstance(kinds, str) else "", "str")
        choices = [c for c in said.get("enum", []) if c]
        old = next((p for p in gone if name == p or name.startswith(p + ".")), None)
        words = None if old is None else f"deprecated; use {gone[old]}" if gone[old] else "deprecated"
        objects = isinstance(value, list) and any(isinstance(v, dict) for v in value)
        found.append(option(name, (), None if objects else value, type="choice" if choices and word == "str" else word, choices=choices,
                            group=name.split(".")[0], deprecated=words, default_note="a list of objects" if objects else None))

    def walk(value, said, prefix):
        properties = said.get("properties", {})
        for key, inner in value.items():
            below = properties.get(key, {})
            if isinstance(inner, dict) and inner:
                walk(inner, below, f"{prefix}{key}.")
            else:
                leaf(prefix + key, inner, below)
        for key, below in properties.items():
            if key not in value and key not in ("global",) and prefix.count(".") < 2:
                leaf(prefix + key, below.get("default"), below)

    walk(yaml.safe_load(text), schema, "")
    return found, {"kind": "yaml_key"}


# ---- Text Generation Inference ---------------------------------------------------------------------------------------

CLAP = re.compile(r"((?:^ *///[^\n]*\n)*)^ *#\[clap\(((?:[^()]|\([^()]*\))*)\)\]\s*\n *(\w+): ([\w<>:]+)", re.M)


def rust_enum(text, name):
    body = re.search(rf"\benum {name} \{{(.*?)^\}}", text, re.M | re.S)
    words = re.findall(r"^ *(?:#\[clap\(name = \"([\w.-]+)\"\)\]\s*)?(?:#\[[^\n]*\]\s*)*([A-Z]\w*),?\s*$", body.group(1), re.M) if body else []
    return [said or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", word).lower() for said, word in words]


def tgi(sources):
    text = sources.need("launcher/src/main.rs")
    args = re.search(r"^struct Args \{(.*?)^\}", text, re.M | re.S)
    found = []
    for doc, said, name, type_ in CLAP.findall(args.group(1) if args else ""):
        base = re.sub(r"^(Option|Vec)<(.*)>$", r"\2", type_)
        choices = rust_enum(text, base)
        word = "list" if type_.startswith("Vec") else "choice" if choices else "bool" if base == "bool" else "float" if base in (
            "f32", "f64") else "int" if re.fullmatch(r"[ui](size|\d+)", base) else "str"
        value = re.search(r'default_value(?:_t)? = "?([^",)]+)"?', said)
        value = value.group(1).strip() if value else False if type_ == "bool" else None
        if isinstance(value, str) and word in ("int", "float"):
            value = float(value) if word == "float" else int(value.replace("_", ""))
        elif isinstance(value, str) and word == "bool":
            value = value == "true"
        short = re.search(r"short = '(\w)'|\bshort\b", said)
        env = re.search(r'env = "(\w+)"', said)
        words = deprecation(" ".join(doc.replace("///", " ").split()))
        legacy = re.search(r"Legacy version of \[`Args::(\w+)`\]", doc)
        long = re.search(r'long = "([\w-]+)"', said)
        found.append(option("--" + (long.group(1) if long else name.replace("_", "-")), [f"-{short.group(1) or name[0]}"] if short else (), value,
                            type=word, choices=choices, env=env.group(1) if env else name.upper() if re.search(r"\benv\b", said) else None,
                            deprecated=f"deprecated; use --{legacy.group(1).replace('_', '-')}" if legacy else words, group="launcher"))
    return found, {}
