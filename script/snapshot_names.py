"""What a name or an attribute of a Python program stands for, by its modules and classes: the half of the interpreter that looks up."""
import ast
import builtins

from snapshot_values import Class, EnumMember, External, Function, Hint, Module, Record, Scope, Unknown


class ClassNames:
    """The names of a class body, as an expression of the name `inside` sees them."""

    def __init__(self, interpreter, cls, inside):
        self.interpreter, self.cls, self.inside = interpreter, cls, inside

    def __contains__(self, name):
        return name != self.inside and any(
            isinstance(t, ast.Name) and t.id == name for n in self.cls.node.body if isinstance(n, (ast.Assign, ast.AnnAssign)) and n.value
            for t in (n.targets if isinstance(n, ast.Assign) else [n.target]))

    def __getitem__(self, name):
        return self.interpreter.class_attribute(self.cls, name, self.cls)

    def __setitem__(self, name, value):
        pass


class Names:
    """read(path) gives the text of a file of the program or None; roots are the folders that modules may lie in."""

    def __init__(self, read, roots=("",)):
        self.read, self.roots, self.modules = read, roots, {}

    # ---- modules and names -------------------------------------------------------------------------------------------

    def module(self, name):
        if name not in self.modules:
            self.modules[name] = None
            base = name.replace(".", "/")
            for path in [f"{root}{base}{end}" for root in self.roots for end in (".py", "/__init__.py")]:
                text = self.read(path)
                if text is not None:
                    self.modules[name] = Module(name, path.endswith("__init__.py"), ast.parse(text))
                    break
        return self.modules[name]

    def target(self, module, node):
        """The full name of the module that an ImportFrom of `module` names."""
        if not node.level:
            return node.module
        parts = module.name.split(".")
        parts = parts[:len(parts) - node.level + (1 if module.is_package else 0)]
        return ".".join(parts + ([node.module] if node.module else []))

    def imported(self, module, node, alias):
        if isinstance(node, ast.Import):
            name = alias.name if alias.asname else alias.name.split(".")[0]
            return self.module(name) or External(name)
        name = self.target(module, node)
        source = self.module(name)
        if source is not None and source is not module:
            value = self.member(source, alias.name)
            if not isinstance(value, Unknown):
                return value
        return self.module(f"{name}.{alias.name}") or (Unknown() if source else External(f"{name}.{alias.name}"))

    def member(self, module, name):
        if name in module.values:
            return module.values[name]
        module.values[name] = Unknown()  # what a cycle sees
        node, scope = module.bindings.get(name), Scope(module)
        value = Unknown()
        if isinstance(node, tuple):
            value = self.imported(module, *node)
        elif isinstance(node, ast.ClassDef):
            value = self.make_class(node, scope)
        elif isinstance(node, ast.FunctionDef):
            value = Function(module, node)
        elif node is not None and node.value is not None:
            value = self.eval(node.value, scope)
        else:
            for star in module.stars:
                source = self.module(self.target(module, star))
                found = self.member(source, name) if source else Unknown()
                if not isinstance(found, Unknown):
                    value = found
        module.values[name] = value
        return value

    def make_class(self, node, scope):
        return Class(scope.module, node, [self.eval(b, scope) for b in node.bases])

    def name(self, name, scope):
        at = scope
        while at is not None:
            if name in at.names:
                return at.names[name]
            at = at.parent
        if name in scope.module.bindings or scope.module.stars:
            value = self.member(scope.module, name)
            if name in scope.module.bindings or not isinstance(value, Unknown):
                return value
        if name in ("__name__", "__file__"):
            return Unknown()
        return External(f"builtins.{name}") if hasattr(builtins, name) else Unknown()

    # ---- attributes --------------------------------------------------------------------------------------------------

    def class_body(self, cls):
        for node in cls.node.body:
            yield from [node] if not isinstance(node, ast.If) else node.body + node.orelse

    def members(self, cls):
        """The members of an enum, in order."""
        scope, found = Scope(cls.module), []
        for node in self.class_body(cls):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not node.targets[0].id.startswith("_"):
                value = self.eval(node.value, scope)
                name = node.targets[0].id
                if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).split(".")[-1] == "auto":
                    value = name.lower() if "StrEnum" in cls.outside() else len(found) + 1
                found.append(EnumMember(cls, name, value))
                scope.names[name] = value
        return found

    def attribute(self, value, name):
        if isinstance(value, Module):
            return self.member(value, name) if name in value.bindings or value.stars else (
                self.module(f"{value.name}.{name}") or Unknown())
        if isinstance(value, External):
            return External(f"{value.path}.{name}")
        if isinstance(value, EnumMember):
            return {"value": value.value, "name": value.name}.get(name, Unknown())
        if isinstance(value, Hint) and name == "__args__":
            return tuple(value.args)
        if isinstance(value, Record) and name in value.values:
            return value.values[name]
        if isinstance(value, (Class, Record)):
            return self.class_attribute(value if isinstance(value, Class) else value.owner, name, value)
        return ("host", value, name)

    def class_attribute(self, cls, name, bound, skip=None):
        if cls.is_enum():
            members = self.members(cls)
            if name == "__members__":
                return {m.name: m for m in members}
            for member in members:
                if member.name == name:
                    return member
        order = cls.mro()
        for at in order[order.index(skip) + 1 if skip in order else 0:]:
            for node in self.class_body(at):
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    marks = [ast.unparse(d) for d in node.decorator_list]
                    owner = bound.owner if isinstance(bound, Record) else bound
                    to = None if "staticmethod" in marks else owner if "classmethod" in marks else bound
                    function = Function(at.module, node, owner=at, bound=None if to is bound and isinstance(bound, Class) and
                                        "classmethod" not in marks else to)
                    return self.call(function, [], {}) if "property" in marks else function
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
                if isinstance(target, ast.Name) and target.id == name and node.value is not None:
                    value = self.eval(node.value, Scope(at.module, ClassNames(self, at, name)))
                    return value["default"] if isinstance(value, dict) and "__field__" in value else value
        return {"__name__": cls.name, "__doc__": ""}.get(name, Unknown())
