"""How each engine declares its options, and what of that is read."""
import re

import snapshot_keys
import snapshot_llama
from snapshot_interpreter import Interpreter
from snapshot_keys import FIELD_HOOKS
from snapshot_options import Parser, deprecation, fields, of_type
from snapshot_values import Class, External, Hint, Record, Unknown


def first(_, args, kwargs):
    return args[0] if args else next(iter(kwargs.values()), Unknown())


def deprecations(texts):
    """{flag: words} of messages in the sources that begin with the flag they are about, wherever they are raised."""
    found = {}
    for text in texts:
        joined = re.sub(r'"\s*\n\s*f?"', "", text)
        for match in re.finditer(r'"(?:[\w ]*\()?[`\']?(--[a-z][\w-]+)[`\')]*\s+(?:is|are|has been) (?:now )?deprecated[^"]*"', joined):
            found.setdefault(match.group(1), deprecation(match.group(0).strip('"')))
    return found


def mark(options, found):
    for entry in options:
        words = next((found[n] for n in [entry["name"], *entry.get("aliases", [])] if n in found), None)
        if words and len(words) > len(entry.get("deprecated", "")):
            entry["deprecated"] = words
    return options


# ---- vLLM ------------------------------------------------------------------------------------------------------------


def vllm_kwargs(interpreter, args, _):
    """vLLM's get_kwargs: the arguments of add_argument for each field of a config class."""
    found = {}
    for name, field in fields(interpreter, args[0]).items():
        if name.startswith("_"):
            continue
        shape = of_type(interpreter, field["hint"], field["scope"])
        entry = {"default": field["default"], "declared_default": field["default"], "help": field["doc"] or field.get("description", ""),
                 **shape, **{k: field[k] for k in ("min", "above", "max", "below") if k in field}}
        if shape["type"] == "bool":
            entry["action"] = External("argparse.BooleanOptionalAction")
        elif shape["type"] == "list":
            entry["nargs"] = "+"
        if "choices" in entry:
            entry["choices"] = list(entry["choices"])
        found[name] = entry
    return found


def vllm_field(interpreter, args, _):
    found = fields(interpreter, args[0]) if isinstance(args[0], Class) else {}
    return found[args[1]]["default"] if args[1] in found else Unknown()


def vllm(sources):
    hooks = {**FIELD_HOOKS, "get_kwargs": vllm_kwargs, "_compute_kwargs": vllm_kwargs, "get_field": vllm_field, "optional_type": first,
             "parse_type": first, "load_general_plugins": lambda *_: None}
    interpreter = Interpreter(sources.read, hooks=hooks)
    for name in ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.openai.cli_args"):
        module = interpreter.module(name)
        if module is not None and "make_arg_parser" in module.bindings:
            break
    else:
        raise ValueError("no vllm.entrypoints.*.cli_args with make_arg_parser")
    parser = Parser(interpreter, group="server")
    interpreter.call(interpreter.member(module, "make_arg_parser"), [parser], {})
    # What vLLM's own parser does before argparse: -O2 stands for a longer flag; --model goes where the first argument may hold it.
    own = next(filter(None, map(sources.read, ("vllm/utils/argparse_utils.py", "vllm/utils/__init__.py"))), "")
    for entry in parser.found:
        if entry["name"] == "--optimization-level" and '"--optimization-level"' in own:
            entry["aliases"] = ["-O"]
        if entry["name"] == "--model" and re.search(r"`--model` option will be removed", own):
            entry["deprecated"] = "deprecated for vllm serve; give the model as the first argument"
    texts = [sources.read(n) for n in list(sources.used) if n.endswith(".py")]
    return mark(parser.found, deprecations(texts)), {}


# ---- SGLang ----------------------------------------------------------------------------------------------------------


def sglang_fields(interpreter, parser, cls, group):
    """SGLang's add_cli_args_from_dataclass for one class."""
    for name, field in fields(interpreter, cls).items():
        hint = field["hint"]
        if not isinstance(hint, Hint) or hint.kind not in ("Annotated", "A") or len(hint.args) < 2:
            continue
        meta = next((a for a in hint.args[1:] if isinstance(a, (Record, str, Unknown))), None)
        said = meta.values if isinstance(meta, Record) else {"help": meta if isinstance(meta, str) else getattr(meta, "text", "")}
        if meta is None or said.get("no_cli") or isinstance(meta, Record) and meta.owner.name != "Arg":
            continue
        shape = of_type(interpreter, hint.args[0], field["scope"])
        names = [said.get("cli_name") or "--" + name.replace("_", "-"), *(said.get("aliases") or [])]
        kwargs = {"help": said.get("help", ""), "default": field["default"], "choices": said.get("choices") or shape.get("choices"),
                  "nargs": said.get("nargs"), "type": said.get("type_parser") or shape["type"], "required": field["required"]}
        if said.get("action") is not None:
            kwargs.update({"action": said["action"], **(said.get("action_kwargs") or {})})
        elif said.get("type_parser") is None and shape["type"] == "list":
            kwargs["nargs"] = said.get("nargs") or "+"
        elif shape["type"] == "bool" and said.get("type_parser") is None and len(getattr(hint.args[0], "args", [1])) == 1:
            kwargs["action"] = "store_true"
        if isinstance(said.get("fallback"), (bool, int, float, str)) and kwargs["default"] is None:
            kwargs["default"] = said["fallback"]
        parser.group = group
        parser.call_add_argument(*names, **kwargs)


def sglang(sources):
    declared = {}
    hooks = {**FIELD_HOOKS, "add_cli_args_from_dataclass": lambda *_: None, "_declared_default": lambda _, a, __: declared.get(a[0])}
    interpreter = Interpreter(sources.read, hooks=hooks)
    module = interpreter.module("sglang.srt.server_args")
    if module is None:
        raise ValueError("no sglang/srt/server_args.py")
    parser = Parser(interpreter)
    server_args = interpreter.member(module, "ServerArgs")
    groups = interpreter.member(module, "_INPUT_NAMESPACES")
    for cls in groups if isinstance(groups, (list, tuple)) else [server_args]:
        path = interpreter.class_attribute(cls, "_NS_PATH", cls)
        declared.update({n: f["default"] for n, f in fields(interpreter, cls).items()})
        sglang_fields(interpreter, parser, cls, path if isinstance(path, str) else None)
    parser.group = "server"
    interpreter.call(interpreter.class_attribute(server_args, "add_cli_args", server_args), [parser], {})
    return parser.found, {}


# ---- NVIDIA Dynamo ---------------------------------------------------------------------------------------------------


def dynamo_argument(interpreter, args, kwargs):
    """Dynamo's add_argument: an option with a variable of the environment and, perhaps, an old name."""
    parser = args[0] if args else kwargs.get("parser")
    if not isinstance(parser, Parser):
        return Unknown()
    more = {k: v for k, v in kwargs.items() if k in ("choices", "nargs", "action", "default", "help", "required")}
    if kwargs.get("arg_type") is not None:
        more["type"] = kwargs["arg_type"]
    gone = kwargs.get("deprecated")
    if isinstance(gone, Record):
        more["deprecated"] = f"deprecated; to be removed in {gone.values.get('remove_in')}; use {gone.values.get('replacement')}"
    name, old = kwargs.get("flag_name"), kwargs.get("obsolete_flag")
    parser.call_add_argument(name, env=kwargs.get("env_var"), **more)
    if isinstance(old, str):
        parser.call_add_argument(old, **{**more, "deprecated": f"deprecated; use {name}"})
    return Unknown()


def dynamo_bool(interpreter, args, kwargs):
    return dynamo_argument(interpreter, args, {**kwargs, "arg_type": None, "action": External("argparse.BooleanOptionalAction")})


def dynamo(sources):
    hooks = {**FIELD_HOOKS, "add_argument": dynamo_argument, "add_negatable_bool_argument": dynamo_bool,
             "env_or_default": lambda _, args, kwargs: args[1] if len(args) > 1 else kwargs.get("default")}
    interpreter = Interpreter(sources.read, roots=("", "components/src/"), hooks=hooks)
    found = []
    for prefix, path, name in (("frontend", "dynamo.frontend.frontend_args", "FrontendArgGroup"),
                               ("worker", "dynamo.common.configuration.groups.runtime_args", "DynamoRuntimeArgGroup"),
                               ("vllm worker", "dynamo.vllm.backend_args", "DynamoVllmArgGroup")):
        module = interpreter.module(path)
        if module is None:
            raise ValueError(f"no module {path}")
        parser = Parser(interpreter)
        group = interpreter.construct(interpreter.member(module, name), [], {})
        interpreter.call(interpreter.attribute(group, "add_arguments"), [parser], {})
        for entry in parser.found:
            entry["group"] = prefix
        found += [e for e in parser.found if e["name"] != "--version"]
    return found, {}


# ---- LMDeploy --------------------------------------------------------------------------------------------------------


def lmdeploy(sources):
    holder = []

    def add_parser(interpreter, args, kwargs):
        holder.append(Parser(interpreter, group="server"))
        return holder[-1]

    interpreter = Interpreter(sources.read, hooks={**FIELD_HOOKS, ".add_parser": add_parser})
    module = interpreter.module("lmdeploy.cli.serve")
    if module is None:
        raise ValueError("no lmdeploy/cli/serve.py")
    cls = interpreter.member(module, "SubCliServe")
    interpreter.call(interpreter.class_attribute(cls, "add_parser_api_server", cls), [], {})
    return holder[0].found, {}


# ---- llama.cpp -------------------------------------------------------------------------------------------------------


def llama_cpp(sources):
    at = sources.find(r"(^|/)common/arg\.cpp$")
    if not at:
        raise ValueError("no common/arg.cpp")
    root = at[0][:-len("common/arg.cpp")]
    headers = [sources.need(root + "common/common.h"), *filter(None, map(sources.read, (root + "include/llama.h", root + "ggml/include/ggml.h")))]
    # The version is llama.cpp's own, also where its sources come inside of another package.
    said = dict(re.findall(r"set\(LLAMA_VERSION_(MAJOR|MINOR|PATCH) (\d+)\)", sources.read(root + "CMakeLists.txt") or ""))
    version = ".".join(said[k] for k in ("MAJOR", "MINOR", "PATCH")) if len(said) == 3 else None
    return snapshot_llama.read(sources.need(at[0]), headers), {"version": version}


RECIPES = {"vllm": vllm, "sglang": sglang, "dynamo": dynamo, "lmdeploy": lmdeploy, "llama.cpp": llama_cpp, "deepspeed": snapshot_keys.deepspeed,
           "tensorrt-llm": snapshot_keys.tensorrt_llm, "llm-d": snapshot_keys.llm_d, "llm-d-epp": snapshot_keys.llm_d_epp,
           "tgi": snapshot_keys.tgi}
