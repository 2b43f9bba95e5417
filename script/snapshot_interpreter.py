"""Reads the part of Python that builds an argument parser, without running it.

Interpreter follows a program's syntax tree: names across its modules, classes with their fields, enums, Literal types,
and the calls that add arguments. What it cannot know (another package, the machine, the environment) is an Unknown and
stays one through every operation; under a condition that is Unknown both branches are followed. Nothing of the program
is imported or executed: the only functions that run are those of `hooks` and a fixed list of methods of str, list and dict.
"""
import ast
import builtins
import operator

from snapshot_names import Names
from snapshot_values import Class, EnumMember, External, Function, Hint, Record, Return, Scope, Unknown

MAX_DEPTH, MAX_STEPS, MAX_SIZE = 80, 2_000_000, 4096
METHODS = {
    str: "replace lower upper join split strip lstrip rstrip startswith endswith format removeprefix removesuffix title".split(),
    list: "append extend remove copy index insert pop".split(),
    tuple: ["index"],
    set: "add update union difference copy".split(),
    dict: "items keys values get pop setdefault update copy".split(),
}
PURE = {f"builtins.{n}": getattr(builtins, n) for n in "list tuple set dict sorted len min max sum str int float bool range enumerate zip "
        "reversed any all frozenset".split()}


def small(operation):
    """The operation, refused where its result could be of any size."""
    def apply(left, right):
        sizes = [v if isinstance(v, (int, float)) else len(v) for v in (left, right)]
        if operation is operator.mul and all(isinstance(v, (int, float)) for v in (left, right)) or max(map(abs, sizes)) <= MAX_SIZE:
            return operation(left, right)
        raise ValueError("too large")
    return apply


BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: small(operator.mul), ast.Div: operator.truediv, ast.Pow: small(operator.pow),
          ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.LShift: small(operator.lshift), ast.BitOr: operator.or_}
COMPARE = {ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
           ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Is: lambda a, b: a is b, ast.IsNot: lambda a, b: a is not b}


class Interpreter(Names):
    """hooks: "name of a function or class", or "path of an external one" -> Python function(interpreter, args, kwargs).
    """

    def __init__(self, read, roots=("",), hooks=None):
        super().__init__(read, roots)
        self.hooks, self.depth, self.steps = hooks or {}, 0, 0

    # ---- expressions -------------------------------------------------------------------------------------------------

    def eval(self, node, scope):
        self.steps += 1
        if self.steps > MAX_STEPS or self.depth > MAX_DEPTH:
            return Unknown()
        self.depth += 1
        try:
            return getattr(self, "ev_" + type(node).__name__, lambda n, s: Unknown())(node, scope)
        except RecursionError:
            return Unknown()
        finally:
            self.depth -= 1

    def ev_Constant(self, node, scope):
        return node.value

    def ev_Name(self, node, scope):
        return self.name(node.id, scope)

    def ev_Attribute(self, node, scope):
        return self.attribute(self.eval(node.value, scope), node.attr)

    def items(self, nodes, scope):
        found = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                value = self.iterate(self.eval(node.value, scope))
                found += [Unknown()] if value is None else value
            else:
                found.append(self.eval(node, scope))
        return found

    def ev_List(self, node, scope):
        return self.items(node.elts, scope)

    def ev_Tuple(self, node, scope):
        return tuple(self.items(node.elts, scope))

    def ev_Set(self, node, scope):
        return self.guard(set, self.items(node.elts, scope))

    def ev_Dict(self, node, scope):
        found = {}
        for key, value in zip(node.keys, node.values):
            value = self.eval(value, scope)
            if key is None:
                found.update(value if isinstance(value, dict) else {})
            else:
                key = self.eval(key, scope)
                if not isinstance(key, (list, dict, set)):
                    found[key] = value
        return found

    def ev_JoinedStr(self, node, scope):
        parts = [self.eval(v.value, scope) if isinstance(v, ast.FormattedValue) else v.value for v in node.values]
        known = all(isinstance(p, (str, int, float)) for p in parts)
        text = "".join(str(p) if isinstance(p, (str, int, float)) else getattr(p, "text", "?") for p in parts)
        return text if known else Unknown(text)

    def ev_IfExp(self, node, scope):
        test = self.truth(self.eval(node.test, scope))
        return Unknown() if test is None else self.eval(node.body if test else node.orelse, scope)

    def ev_BoolOp(self, node, scope):
        for i, part in enumerate(node.values):
            value = self.eval(part, scope)
            test = self.truth(value)
            if test is None or i == len(node.values) - 1 or test == isinstance(node.op, ast.Or):
                return value if test is not None else Unknown()

    def ev_UnaryOp(self, node, scope):
        value = self.eval(node.operand, scope)
        if isinstance(node.op, ast.Not):
            test = self.truth(value)
            return Unknown() if test is None else not test
        return self.guard(operator.neg, value) if isinstance(node.op, ast.USub) else Unknown()

    def ev_BinOp(self, node, scope):
        left, right = self.eval(node.left, scope), self.eval(node.right, scope)
        types = (Hint, Class, External)
        if isinstance(node.op, ast.BitOr) and (isinstance(left, types) or isinstance(right, types)):
            return Hint("Union", [left, right])
        if isinstance(node.op, ast.Add) and (isinstance(left, Unknown) or isinstance(right, Unknown)):
            return Unknown("".join(p if isinstance(p, str) else getattr(p, "text", "") for p in (left, right)))
        return self.guard(BINARY[type(node.op)], left, right) if type(node.op) in BINARY else Unknown()

    def ev_Compare(self, node, scope):
        values = [self.eval(v, scope) for v in [node.left, *node.comparators]]
        if any(isinstance(v, (Unknown, Function)) for v in values) or any(isinstance(v, (External, Hint)) for v in values) and None not in values:
            return Unknown()
        return self.guard(lambda: all(COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, values, values[1:])))

    def ev_Subscript(self, node, scope):
        value = self.eval(node.value, scope)
        if isinstance(value, External):
            args = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            kind = value.path.split(".")[-1]
            return Hint({"List": "list", "Dict": "dict", "Set": "set", "Tuple": "tuple"}.get(kind, kind), self.items(args, scope))
        if isinstance(node.slice, ast.Slice):
            cut = [None if part is None else self.eval(part, scope) for part in (node.slice.lower, node.slice.upper, node.slice.step)]
            return self.guard(lambda: value[slice(*cut)])
        index = self.eval(node.slice, scope)
        if isinstance(value, Class):
            return self.class_attribute(value, index, value) if value.is_enum() and isinstance(index, str) else value
        return self.guard(operator.getitem, value, index)

    def ev_Lambda(self, node, scope):
        return Function(scope.module, node, scope)

    def comprehend(self, node, scope, add):
        def step(level, at):
            if level == len(node.generators):
                add(at)
                return
            part = node.generators[level]
            for item in self.iterate(self.eval(part.iter, at)) or []:
                inner = Scope(scope.module, {}, at)
                self.assign(part.target, item, inner)
                if all(self.truth(self.eval(c, inner)) is not False for c in part.ifs):
                    step(level + 1, inner)
        if any(self.iterate(self.eval(g.iter, scope)) is None for g in node.generators[:1]):
            return False
        step(0, scope)
        return True

    def ev_ListComp(self, node, scope):
        found = []
        return found if self.comprehend(node, scope, lambda at: found.append(self.eval(node.elt, at))) else Unknown()

    ev_GeneratorExp = ev_ListComp

    def ev_SetComp(self, node, scope):
        return self.guard(set, self.ev_ListComp(node, scope))

    def ev_DictComp(self, node, scope):
        found = {}
        known = self.comprehend(node, scope, lambda at: self.guard(found.__setitem__, self.eval(node.key, at), self.eval(node.value, at)))
        return found if known else Unknown()

    def ev_Call(self, node, scope):
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            function = next((s.function for s in self.chain(scope) if s.function), None)
            return ("super", function) if function and function.owner else Unknown()
        called = self.eval(node.func, scope)
        if isinstance(node.func, ast.Attribute):
            base = self.eval(node.func.value, scope) if isinstance(node.func.value, ast.Call) and not isinstance(called, Function) else None
            if isinstance(base, tuple) and len(base) == 2 and base[0] == "super":
                me = base[1].bound
                called = self.class_attribute(me.owner if isinstance(me, Record) else me, node.func.attr, me, base[1].owner) if me else Unknown()
        args, kwargs = self.items(node.args, scope), {}
        for keyword in node.keywords:
            value = self.eval(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs.update({k: v for k, v in value.items() if isinstance(k, str)})
        return self.call(called, args, kwargs)

    @staticmethod
    def chain(scope):
        while scope is not None:
            yield scope
            scope = scope.parent

    # ---- calls -------------------------------------------------------------------------------------------------------

    def call(self, called, args, kwargs):
        if isinstance(called, (Function, Class, External)):
            name = called.path if isinstance(called, External) else called.name
            hook = self.hooks.get(name) or self.hooks.get(name.split(".")[-1])
            if hook:
                return hook(self, args, kwargs)
        if isinstance(called, tuple) and len(called) == 3 and called[0] == "host":
            return self.host_call(called[1], called[2], args, kwargs)
        if isinstance(called, External):
            return self.external_call(called.path, args, kwargs)
        if isinstance(called, Class):
            return self.construct(called, args, kwargs)
        if isinstance(called, Function):
            return self.apply(called, args, kwargs)
        return Unknown()

    def host_call(self, value, name, args, kwargs):
        for kind, names in METHODS.items():
            if isinstance(value, kind) and name in names:
                if any(isinstance(a, Unknown) for a in args) and kind in (str, set):
                    return Unknown()
                return self.guard(lambda: getattr(value, name)(*args, **kwargs))
        method = getattr(value, "call_" + name, None)  # a parser of ours
        if method:
            return method(*args, **kwargs)
        hook = self.hooks.get("." + name)  # a method of what is not known
        return hook(self, args, kwargs) if hook else Unknown()

    def external_call(self, path, args, kwargs):
        last = path.split(".")[-1]
        if path.endswith("environ.get") or last == "getenv":
            return args[1] if len(args) > 1 else kwargs.get("default")
        if last in ("get_args", "deepcopy", "copy", "cast") and args:
            value = args[-1]
            return tuple(value.args) if isinstance(value, Hint) and last == "get_args" else value if last != "get_args" else Unknown()
        if last == "getattr" and len(args) > 1 and isinstance(args[1], str):
            value = self.attribute(args[0], args[1])
            return args[2] if isinstance(value, Unknown) and len(args) > 2 else value
        if path == "builtins.callable" and args:
            return isinstance(args[0], (Function, Class, External))
        if path == "sys.modules.get":  # nothing is imported yet
            return None
        if path in PURE:
            known = [self.iterate(a) if isinstance(a, (Class, set)) else a for a in args]
            return Unknown() if any(isinstance(a, (Unknown, External)) or a is None for a in known) else self.guard(
                lambda: PURE[path](*known, **{k: v for k, v in kwargs.items() if k != "key"}))
        return Unknown()

    def construct(self, cls, args, kwargs):
        if cls.is_enum():
            return next((m for m in self.members(cls) if args and m.value == args[0]), Unknown())
        if args and cls.outside() & {"int", "float", "str"}:  # a number with a way to print it
            return args[0]
        record = Record(cls, {})
        init = self.class_attribute(cls, "__init__", record)
        if isinstance(init, Function):
            self.apply(init, args, kwargs)
            return record
        names = [n.target.id for c in reversed(cls.mro()) for n in self.class_body(c) if isinstance(n, ast.AnnAssign)
                 and isinstance(n.target, ast.Name)]
        return Record(cls, {**dict(zip(names, args)), **kwargs})

    def apply(self, function, args, kwargs):
        if self.depth > MAX_DEPTH:
            return Unknown()
        spec = function.node.args
        names = [a.arg for a in spec.posonlyargs + spec.args]
        given = ([function.bound] if function.bound is not None else []) + args
        local = dict(zip(names, given))
        home = function.scope or Scope(function.module)
        if spec.vararg:
            local[spec.vararg.arg] = tuple(given[len(names):])
        extra = {k: v for k, v in kwargs.items() if k not in names and k not in [a.arg for a in spec.kwonlyargs]}
        local.update({k: v for k, v in kwargs.items() if k not in extra})
        if spec.kwarg:
            local[spec.kwarg.arg] = extra
        for name, node in [*zip(names[len(names) - len(spec.defaults):], spec.defaults), *zip([a.arg for a in spec.kwonlyargs], spec.kw_defaults)]:
            if name not in local and node is not None:
                local[name] = self.eval(node, home)
        local.update({n: Unknown() for n in names if n not in local})
        scope = Scope(function.module, local, function.scope, function)
        if isinstance(function.node, ast.Lambda):
            return self.eval(function.node.body, scope)
        scope.maybe = False
        self.depth += 1
        try:
            self.run(function.node.body, scope)
        except Return as back:
            return Unknown() if scope.maybe else back.value
        finally:
            self.depth -= 1
        return Unknown() if scope.maybe else None

    # ---- statements --------------------------------------------------------------------------------------------------

    def run(self, body, scope):
        for node in body:
            getattr(self, "do_" + type(node).__name__, lambda n, s: None)(node, scope)

    def do_Expr(self, node, scope):
        self.eval(node.value, scope)

    def do_Return(self, node, scope):
        raise Return(None if node.value is None else self.eval(node.value, scope))

    def do_Raise(self, node, scope):
        raise Return(Unknown())

    def do_Assign(self, node, scope):
        value = self.eval(node.value, scope)
        for target in node.targets:
            self.assign(target, value, scope)

    def do_AnnAssign(self, node, scope):
        if node.value is not None:
            self.assign(node.target, self.eval(node.value, scope), scope)

    def do_AugAssign(self, node, scope):
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        self.assign(node.target, self.ev_BinOp(ast.BinOp(read, node.op, node.value), scope), scope)

    def do_Delete(self, node, scope):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self.guard(operator.delitem, self.eval(target.value, scope), self.eval(target.slice, scope))

    def do_If(self, node, scope):
        test = self.truth(self.eval(node.test, scope))
        if test is not None:
            self.run(node.body if test else node.orelse, scope)
            return
        for body in (node.body, node.orelse):
            try:
                self.run(body, scope)
            except Return:
                for at in self.chain(scope):
                    at.maybe = True

    def do_For(self, node, scope):
        for item in self.iterate(self.eval(node.iter, scope)) or []:
            self.assign(node.target, item, scope)
            self.run(node.body, scope)

    def do_With(self, node, scope):
        self.run(node.body, scope)

    def do_Try(self, node, scope):
        self.run(node.body, scope)
        self.run(node.finalbody, scope)

    def do_FunctionDef(self, node, scope):
        scope.names[node.name] = Function(scope.module, node, scope)

    def do_ClassDef(self, node, scope):
        scope.names[node.name] = self.make_class(node, scope)

    def do_ImportFrom(self, node, scope):
        for alias in node.names:
            scope.names[alias.asname or alias.name.split(".")[0]] = self.imported(scope.module, node, alias)

    do_Import = do_ImportFrom

    def assign(self, target, value, scope):
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = self.iterate(value)
            for i, part in enumerate(target.elts):
                self.assign(part, items[i] if items and i < len(items) else Unknown(), scope)
        elif isinstance(target, ast.Subscript):
            self.guard(operator.setitem, self.eval(target.value, scope), self.eval(target.slice, scope), value)
        elif isinstance(target, ast.Attribute):
            holder = self.eval(target.value, scope)
            if isinstance(holder, Record):
                holder.values[target.attr] = value

    # ---- values ------------------------------------------------------------------------------------------------------

    def iterate(self, value):
        """The items of a value as a list, or None where they are not known."""
        if isinstance(value, Class) and value.is_enum():
            return self.members(value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            return None
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)

    @staticmethod
    def truth(value):
        if isinstance(value, (Unknown, External, Function, EnumMember, Record, Hint)):
            return True if isinstance(value, (Class, Function, EnumMember, Record)) else None
        return bool(value)

    @staticmethod
    def guard(function, *args):
        if any(isinstance(a, Unknown) for a in args[:2]) and function is not operator.setitem:
            return Unknown()
        try:
            return function(*args)
        except Exception:  # of a value that is not what the program would have
            return Unknown()
