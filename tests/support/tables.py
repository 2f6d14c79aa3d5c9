"""Every table in a program's source: containers that begin empty and may grow, and memories of functions' results."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GROWING = frozenset(
    {"Counter", "OrderedDict", "Recent", "WeakSet", "WeakValueDictionary", "bytearray", "defaultdict"}
) | {*("deque", "dict", "list", "set", "Queue", "LifoQueue", "PriorityQueue")}
MEMORIES = frozenset({"lru_cache", "cache", "cached", "remembered"})


def modules_loaded_by(module: str) -> list[str]:
    """The modules of ours that importing ``module`` loads, in a process of its own."""
    program = f"from django.conf import settings; import sys, {module}; print(*sys.modules)"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "apimgr.settings"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    return sorted(name for name in ran.stdout.split() if name.startswith(("apps.", "apimgr.")))


def tables_of(module: str) -> Iterator[str]:
    """``module:name`` and ``module:Class.name`` of each table in a module's source."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    yield from (f"{module}:{name}" for name in names_of_tables(path.read_text()))


def names_of_tables(source: str) -> Iterator[str]:
    """The same for one source text."""
    yield from _visit(ast.parse(source), "", inside=False)


def _visit(node: ast.AST, owner: str, *, inside: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _visit(child, f"{owner}{child.name}.", inside=inside)
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(_called(each) in MEMORIES for each in child.decorator_list):
                yield owner + child.name
            yield from _visit(child, owner, inside=True)
            continue
        if isinstance(child, ast.Assign | ast.AnnAssign) and child.value is not None:
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            for target in targets:
                yield from _assigned(target, child.value, owner, inside)
        yield from _visit(child, owner, inside=inside)


def _assigned(target: ast.expr, value: ast.expr, owner: str, inside: bool) -> Iterator[str]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, its, owner, inside)
        return
    of_an_object = (
        isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    )
    if not of_an_object and (inside or not isinstance(target, ast.Name)):
        return  # a local variable lives as long as its call
    name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
    if _is_empty(value) or any(_called(each) in MEMORIES for each in ast.walk(value) if isinstance(each, ast.Call)):
        yield owner + name


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict | ast.List | ast.Set):
        return not (value.keys if isinstance(value, ast.Dict) else value.elts)
    return isinstance(value, ast.Call) and _called(value) in GROWING


def _called(node: ast.expr) -> str:
    """The name of what is called, or of the decorator: ``functools.lru_cache(maxsize=1)`` is ``lru_cache``."""
    while isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
