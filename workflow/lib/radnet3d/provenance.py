"""What a command is made of: a digest of all code of this package that it reaches.

A workflow engine compares commands and inputs; it cannot see that a function far below a command has changed. The
digest makes it see. It is derived from the syntax trees, name by name, never from a list kept by hand: a command
counts, with every function, class and constant it names, and what those name, in whatever module of the package they
stand, imports inside functions included. Comments, docstrings and help texts do not count, so better words retrain
nothing; neither does a new definition that the command does not use.
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
NAME = PACKAGE.name
HELP_TEXTS = {"Field": "description", "option": "help", "argument": "help"}
"""Keyword arguments of these calls that are words for people."""


def code_digest(command: str) -> str:
    """Return 16 hex digits that change when code reached by `command` ("labels evaluate") changes.

    Files that lie beside reached modules (templates, style sheets) count by their bytes.
    Raises ValueError if there is no such command.
    """
    statements = reached_statements(command)
    digest = hashlib.sha256()
    for module, names in sorted(statements.items()):
        digest.update(f"# {module}\n".encode())
        for name in sorted(names):
            digest.update(f"{statement_text(module, name)}\n".encode())
        for path in companions(module):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def source_digest() -> str:
    """Return 16 hex digits that change with any byte of the package's code: for what reads its comments."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def reached_statements(command: str) -> dict[str, frozenset[int]]:
    """Return, of each module of this package that `command` reaches, the numbers of the top-level statements it uses.

    Of a module imported as such (`from radnet3d import tables`) what is named through it counts (`tables.PLAN`).
    """
    phase, _, verb = command.partition(" ")
    start = f"{NAME}.cli.{phase}"
    found = [(start, i) for i, node in enumerate(module_tree(start).body) if command_name(node) == (verb or phase)]
    if not found:
        raise ValueError(f"{module_path(start)}: found no command '{verb or phase}'")
    reached: set[tuple[str, int]] = set()
    while found:
        place = found.pop()
        if place not in reached:
            reached.add(place)
            found += statement_uses(*place)
    modules = {module for module, _ in reached}
    return {module: frozenset(i for name, i in reached if name == module) for module in modules}


@cache
def statement_uses(module: str, number: int) -> frozenset[tuple[str, int]]:
    """Return the top-level statements that one top-level statement names or imports, as (module, number)."""
    statement = module_tree(module).body[number]
    modules = module_names(module)
    uses: set[tuple[str, int]] = set()
    parts = list(ast.walk(statement))
    through = {id(part.value) for part in parts if isinstance(part, ast.Attribute)}  # the `tables` of `tables.PLAN`
    for part in parts:
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in modules:
            uses |= binding(modules[part.value.id], part.attr)
        elif isinstance(part, ast.Name) and not (id(part) in through and part.id in modules):
            uses |= binding(module, part.id)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            for alias in part.names:
                uses |= imported(part, alias)
    return frozenset(uses)


@cache
def module_names(module: str) -> dict[str, str]:
    """Return the names under which a module holds other modules of this package: `from radnet3d import tables`."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in module_tree(module).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME
        for alias in node.names
        if module_path(f"{node.module}.{alias.name}").is_file()
    }


def binding(module: str, name: str) -> frozenset[tuple[str, int]]:
    """Return the statements that bind a top-level name of a module, followed through imports."""
    places: set[tuple[str, int]] = set()
    for number in bindings(module).get(name, ()):
        node = module_tree(module).body[number]
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if name == bound_name(alias):
                    places |= imported(node, alias)
        else:
            places.add((module, number))
    return frozenset(places) | (always(module) if places else frozenset())


@cache
def bindings(module: str) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the top-level statements that bind each name of a module."""
    numbers: dict[str, tuple[int, ...]] = {}
    for number, node in enumerate(module_tree(module).body):
        for name in bound_names(node):
            numbers[name] = (*numbers.get(name, ()), number)
    return numbers


def bound_name(alias: ast.alias) -> str:
    """Return the name that one imported name is bound to: its other name, or the first part of its own."""
    return alias.asname or alias.name.split(".")[0]


def imported(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> frozenset[tuple[str, int]]:
    """Return the statements of this package that one imported name stands for; the version's number is only a label."""
    source = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
    if source.split(".")[0] != NAME or alias.name == "__version__":
        return frozenset()
    if isinstance(node, ast.Import):
        return whole_module(source)
    if module_path(f"{source}.{alias.name}").is_file():
        return whole_module(f"{source}.{alias.name}")
    return binding(source, alias.name)


def whole_module(module: str) -> frozenset[tuple[str, int]]:
    """Return every statement of a module of this package; none of the package itself, which holds its version only."""
    if module == NAME:
        return frozenset()
    return frozenset((module, number) for number in range(len(module_tree(module).body)))


@cache
def always(module: str) -> frozenset[tuple[str, int]]:
    """Return the statements of a module that act on import without binding a name: loops, calls, conditions."""
    silent = ast.Expr | ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Assert | ast.Delete
    return frozenset((module, i) for i, node in enumerate(module_tree(module).body) if isinstance(node, silent))


def bound_names(node: ast.stmt) -> set[str]:
    """Return the names that a top-level statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {bound_name(alias) for alias in node.names}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def command_name(node: ast.stmt) -> str | None:
    """Return the name click gives to a function decorated with `@....command(...)`, None for anything else."""
    for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith(".command"):
            if decorator.args and isinstance(decorator.args[0], ast.Constant):
                return str(decorator.args[0].value)
            assert isinstance(node, ast.FunctionDef)
            return re.sub(r"-(command|cmd|group|grp)$", "", node.name.replace("_", "-"))
    return None


@cache
def statement_text(module: str, number: int) -> str:
    """Return the code of one top-level statement of a module."""
    return ast.unparse(module_tree(module).body[number])


@cache
def module_tree(module: str) -> ast.Module:
    """Return the syntax tree of one module of this package, without docstrings and help texts."""
    tree = ast.parse(module_path(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            code = [part for part in node.body if not (isinstance(part, ast.Expr) and is_text(part.value))]
            node.body = code or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        elif isinstance(node, ast.Call):
            words = HELP_TEXTS.get(ast.unparse(node.func).split(".")[-1])
            node.keywords = [word for word in node.keywords if word.arg is None or word.arg != words]
    return tree


def is_text(node: ast.expr) -> bool:
    """Return whether an expression is nothing but a string."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def module_path(module: str) -> Path:
    """Return the file of a module or package of this package, whether it exists or not."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def companions(module: str) -> list[Path]:
    """Return the files beside a module that are not code: templates, style sheets, tables."""
    return sorted(file for file in module_path(module).parent.iterdir() if file.suffix not in (".py", ".typed", ""))
