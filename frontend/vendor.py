"""Copy the distribution files of the front-end packages to ``static/vendor``, with their SHA-256 sums.

Only updating needs Node: set the version in ``package.json``, run ``npm install`` and this script here, commit the lock and
``static/vendor``. At run time everything comes from there; htmx comes in django-htmx's wheel.
"""

import hashlib
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
TARGET = HERE.parent / "static" / "vendor"

#: package -> (folder name, files of it, as they are called in the folder)
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "@tabler/core": ("tabler", {"dist/css/tabler.min.css": "tabler.min.css"}),
    "echarts": ("echarts", {"dist/echarts.min.js": "echarts.min.js", "LICENSE": "LICENSE", "NOTICE": "NOTICE"}),
    "@tabler/icons": ("tabler-icons", {"LICENSE": "LICENSE"}),
}
SVG = "http://www.w3.org/2000/svg"


def version(package: str) -> str:
    """The installed version of ``package``."""
    return str(json.loads((MODULES / package / "package.json").read_text())["version"])


def copy(source: Path, destination: Path) -> None:
    """Copy one file, without the comment that names a source map which isn't shipped."""
    text = source.read_text()
    lines = [line for line in text.splitlines() if "sourceMappingURL=" not in line]
    destination.write_text("\n".join(lines) + "\n")


def sprite(names: list[str]) -> str:
    """One SVG document with a ``<symbol>`` for each of ``names``, from the outline set."""
    ElementTree.register_namespace("", SVG)
    symbols = []
    for name in names:
        root = ElementTree.parse(MODULES / "@tabler/icons/icons/outline" / f"{name}.svg").getroot()  # noqa: S314  files of a locked package
        inner = "".join(
            ElementTree.tostring(child, encoding="unicode").strip().replace(f' xmlns="{SVG}"', "") for child in root
        )
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"'
            f' stroke-linecap="round" stroke-linejoin="round">{inner}</symbol>'
        )
    return f'<svg xmlns="{SVG}">\n' + "\n".join(symbols) + "\n</svg>\n"


def main() -> None:
    """Fill ``static/vendor`` anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for package, (name, files) in FILES.items():
        folder = TARGET / f"{name}-{version(package)}"
        folder.mkdir(parents=True)
        for source, wanted in files.items():
            copy(MODULES / package / source, folder / wanted)
    names = sorted(set((HERE / "icons.txt").read_text().split()))
    (TARGET / f"tabler-icons-{version('@tabler/icons')}" / "sprite.svg").write_text(sprite(names))
    paths = sorted(path for path in TARGET.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(TARGET)}" for path in paths]
    (TARGET / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    main()
