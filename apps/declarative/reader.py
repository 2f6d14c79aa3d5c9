"""YAML or JSON to plain data that remembers its lines, and the errors that name them."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

#: Where a value stands in a file: ``("apis", 0, "cache", "ttl")``.
Path = tuple[str | int, ...]

LARGEST_FILE = 20 * 2**20
#: A file of 10,000 APIs with every field has some 600,000 values. Aliases multiply without growing the file: hence a bound.
MOST_VALUES = 5_000_000


class FileError(Exception):
    """The file, or the platform's rules, refuse it. Each problem names the line and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the sentences, one a problem."""
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class _Loader(yaml.SafeLoader):
    """YAML with the few plain scalars of YAML 1.2: in YAML 1.1 ``off`` is false, ``1:30`` is 90 and ``0100`` is 64."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


@dataclass
class FileSource:
    """A file's data, and the line on which each value begins."""

    name: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of the value at ``path``, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, sentence: str) -> str:
        """``FILE:LINE: where: what is wrong and what to do``."""
        return f"{self.name}:{self.line(path)}: {_dotted(path)}{sentence}"

    def refuse(self, path: Path, sentence: str) -> FileError:
        """The error of one problem, to raise."""
        return FileError([self.problem(path, sentence)])


def read_file(path: FilePath) -> FileSource:
    """Read a declarative file. Raises ``FileError`` when it can't be read or isn't YAML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError([f"{path}: can't be read: {error.strerror}"]) from None
    return read_text(content, str(path))


def read_text(content: bytes, name: str = "file") -> FileSource:
    """Read a declarative file's bytes. Raises ``FileError``."""
    if len(content) > LARGEST_FILE:
        raise FileError([f"{name}: is larger than {LARGEST_FILE // 2**20} MB; split it"])
    source = FileSource(name)
    try:
        text = content.decode("utf-8-sig")
        root = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError([f"{name}:{line}: is not UTF-8"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileError(
            [f"{name}:{mark.line + 1 if mark else 1}: is not YAML: {error.problem or error.context}"]
        ) from None
    except yaml.YAMLError as error:
        raise FileError([f"{name}:1: is not YAML: {error}"]) from None
    except RecursionError:
        raise FileError([f"{name}:1: is nested too deeply"]) from None
    if root is None:
        raise FileError([f"{name}:1: is empty; it begins with `version: 1`"])
    source.data = _Reader(source).value(root, ())
    return source


class _Reader:
    """Turns nodes into values while it counts them and keeps their lines."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.left = MOST_VALUES
        self.open: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.left -= 1
        self.source.lines.setdefault(path, node.start_mark.line + 1)
        if self.left < 0:
            raise self.source.refuse(path, "the file has too many values (aliases count each time)")
        if id(node) in self.open:
            raise self.source.refuse(path, "an alias contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.scalar(node, path)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                raise self.source.refuse(path, "a name must be plain text")
            here = (*path, key)
            line = key_node.start_mark.line + 1
            if key in result:
                raise FileError([f"{self.source.name}:{line}: {_dotted(here)}stands here twice"])
            self.source.lines[here] = line
            result[key] = self.value(value_node, here)
        return result

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        kind, text = node.tag.rpartition(":")[2], node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > 20:
                raise self.source.refuse(path, "this number is too large")
            return int(text)
        if kind == "float":
            if not math.isfinite(number := float(text)):
                raise self.source.refuse(path, "this number is too large")
            return number
        if kind == "str":
            return text
        raise self.source.refuse(path, f"the tag {node.tag} has no meaning here")


def _dotted(path: Path) -> str:
    """``apis[0].cache.ttl: ``, as people write it; nothing for the file as a whole."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""
