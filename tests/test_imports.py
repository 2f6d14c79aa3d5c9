"""No circle of imports: what a module needs can be read and tested without what needs the module."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

Graph = dict[str, set[str]]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(file: Path, module: str) -> Iterator[tuple[str, str]]:
    """Each import, at any level, in functions and under ``TYPE_CHECKING`` too: from where, and which name (or none)."""
    package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((origin, alias.name) for alias in node.names)


def graph() -> Graph:
    """Who imports whom among our own modules. A name that is a module of its own counts as that, not as its package."""
    files = {module_of(file): file for folder in ("apps", "apimgr") for file in (ROOT / folder).rglob("*.py")}
    found: Graph = {module: set() for module in files}
    for module, file in files.items():
        for origin, name in imported_by(file, module):
            needed = f"{origin}.{name}" if f"{origin}.{name}" in files else origin
            if needed in files and needed != module:
                found[module].add(needed)
    return found


def circles(imports: Graph) -> list[list[str]]:
    """The modules of each circle: those that reach each other. What nobody is left to lead to, or to come from, is in none."""
    left = dict(imports)
    while True:
        needed = set().union(*left.values()) if left else set()
        outside = {module for module, needs in left.items() if module not in needed or not needs & left.keys()}
        if not outside:
            break
        left = {module: needs - outside for module, needs in left.items() if module not in outside}
    reached = {module: _reached(left, module) for module in left}
    found = {frozenset(other for other in reached[module] if module in reached[other]) for module in left}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reached(imports: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for module in imports[ahead.pop()] - seen:
            seen.add(module)
            ahead.append(module)
    return seen


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_circles_are_found_and_what_leads_to_them_or_comes_from_them_is_no_part_of_them() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": set(), "x": {"y"}, "y": {"z"}, "z": {"x", "a"}}
    assert circles(imports) == [["b", "c"], ["x", "y", "z"]]


def test_imports_are_found_wherever_they_stand() -> None:
    found = graph()
    assert "apps.gateway.server.worker" in found["apps.gateway.server.django_view"]  # in a function
    assert "apps.gateway.limits.allowances" in found["apps.gateway.call.call"]  # under TYPE_CHECKING
    assert "apps.gateway.gateway" in found["apps.gateway.memory"]  # a module named as one of its package's
