"""The values that snapshot_interpreter.py computes with: what of a Python program is not a plain str, number, list or dict."""
import ast


class Unknown:
    """A value that the sources alone do not say. text: what is known of a string that is put together."""

    def __init__(self, text=""):
        self.text = text


class External:
    """A name of another package, as "typing.Literal" or "builtins.int"."""

    def __init__(self, path):
        self.path = path


class Hint:
    """A type expression: kind is Literal, Union, Annotated, list, dict ...; args are its values."""

    def __init__(self, kind, args):
        self.kind, self.args = kind, args


class Module:
    def __init__(self, name, is_package, tree):
        self.name, self.is_package = name, is_package
        self.bindings, self.values, self.stars = {}, {}, []
        self._bind(tree.body, False)

    def _bind(self, body, weak):
        put = self.bindings.setdefault if weak else self.bindings.__setitem__
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                put(node.name, node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name) and not isinstance(self.bindings.get(target.id), ast.ClassDef):  # a class made anew
                        put(target.id, node)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                put(node.target.id, node)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(node)
                    else:
                        put(alias.asname or alias.name.split(".")[0], (node, alias))
            elif isinstance(node, ast.If):  # of `if TYPE_CHECKING: ... else: ...` the first says more
                self._bind(node.body, weak)
                self._bind(node.orelse, True)
            elif isinstance(node, ast.Try):
                self._bind(node.body, weak)
                for handler in node.handlers:
                    self._bind(handler.body, True)


class Class:
    def __init__(self, module, node, bases):
        self.module, self.node, self.bases, self.name = module, node, bases, node.name

    def mro(self):
        """The class and its bases of the same program, nearest first, each once."""
        found = [self]
        for base in self.bases:
            found += [c for c in (base.mro() if isinstance(base, Class) else []) if c not in found]
        return found

    def outside(self):
        """The last parts of the names of bases of other packages."""
        return {b.path.split(".")[-1] for c in self.mro() for b in c.bases if isinstance(b, External)}

    def is_enum(self):
        return bool(self.outside() & {"Enum", "StrEnum", "IntEnum", "Flag"})

    def is_record(self):
        """Whether its annotated names are fields: a dataclass, a pydantic or msgspec model."""
        marks = [ast.unparse(d) for c in self.mro() for d in c.node.decorator_list]
        return any("dataclass" in m or m.split("(")[0].split(".")[-1] == "config" for m in marks) or bool(
            self.outside() & {"BaseModel", "Struct"})


class EnumMember:
    def __init__(self, owner, name, value):
        self.owner, self.name, self.value = owner, name, value

    def __eq__(self, other):
        return isinstance(other, EnumMember) and (self.owner.node, self.name) == (other.owner.node, other.name)

    def __hash__(self):
        return hash(self.name)


class Function:
    def __init__(self, module, node, scope=None, owner=None, bound=None):
        self.module, self.node, self.scope, self.owner, self.bound = module, node, scope, owner, bound
        self.name = getattr(node, "name", "<lambda>")


class Record:
    """An object of a class of the program, by the arguments it was made with."""

    def __init__(self, owner, values):
        self.owner, self.values = owner, values


class Scope:
    def __init__(self, module, names=None, parent=None, function=None):
        self.module, self.names, self.parent, self.function = module, names if names is not None else {}, parent, function


class Return(Exception):
    def __init__(self, value):
        self.value = value
