"""Who imports whom among our own modules and rooms, and a picture of the rooms.

``python -m tests.support.imports`` draws it anew, into ``docs/images/rooms.svg``.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"

Graph = dict[str, set[str]]


def module_of(file: Path) -> str:
    """The dotted name of a module's file."""
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


def reached(imports: Graph, start: str) -> set[str]:
    """Everything that ``start`` imports, and what that imports, and so on."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for module in imports[ahead.pop()] - seen:
            seen.add(module)
            ahead.append(module)
    return seen


def rooms() -> Graph:
    """Who imports whom among the packages of ``apps``."""
    found: Graph = {}
    for module, needs in graph().items():
        room = _room_of(module)
        if room:
            others = found.setdefault(room, set())
            others |= {other for each in needs if (other := _room_of(each)) and other != room}
    return found


def _room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "apps" and len(parts) > 1 else ""


# The picture

_WIDTH, _HEIGHT, _GAP, _RISE = 124, 34, 22, 74

_STYLE = """
  text { font: 14px system-ui, sans-serif; text-anchor: middle; fill: #1b2430 }
  rect { fill: #eef2f7; stroke: #8a97a8 }
  path { fill: none; stroke: #8a97a8; stroke-width: 1.2 }
  marker path { fill: #8a97a8; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6ebf2 } rect { fill: #243040; stroke: #66758a } path { stroke: #66758a } marker path { fill: #66758a }
  }
"""


def picture() -> str:
    """The rooms as an SVG, each above those that it imports. An arrow that others imply is left out."""
    imports = rooms()
    floors = [set(imports)]
    while floors[-1]:
        floors.append({room for room in floors[-1] if imports[room] & floors[-1]})
    rows = [sorted(floors[number] - floors[number + 1]) for number in range(len(floors) - 1)]
    widest = max(len(row) for row in rows)
    width = widest * (_WIDTH + _GAP) + _GAP
    height = len(rows) * _RISE
    places = {
        room: (
            width / 2 + (column - (len(row) - 1) / 2) * (_WIDTH + _GAP) + (number % 2 - 0.5) * _WIDTH * (len(row) == 1),
            height - number * _RISE - _RISE / 2,
        )
        for number, row in enumerate(rows)
        for column, room in enumerate(row)
    }
    lines = []
    for room in sorted(imports):
        implied = set().union(*(reached(imports, other) for other in imports[room]))
        for other in sorted(imports[room] - implied):
            (x, y), (to_x, to_y) = places[room], places[other]
            y, to_y = y + _HEIGHT / 2, to_y - _HEIGHT / 2
            bend = (to_y - y) / 2
            lines.append(
                f'<path d="M{x:g} {y:g} C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}" '
                'marker-end="url(#head)"/>'
            )
    for room, (x, y) in sorted(places.items()):
        lines.append(
            f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        )
        lines.append(f'<text x="{x:g}" y="{y + 5:g}">{room}</text>')
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        f'aria-label="The rooms, each above those that it imports">\n<style>{_STYLE}</style>\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z"/></marker></defs>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
