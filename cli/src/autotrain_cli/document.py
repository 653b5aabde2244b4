"""Objects become YAML for people: comments above and behind fields, files as literal blocks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str, ...]
ENDLESS = 2**31
"""Width at which no line is folded."""
MISREAD = re.compile(r"[yYnN]|[-+.]?[0-9]\S*")


@dataclass(frozen=True)
class Comment:
    above: tuple[str, ...] = ()
    behind: str = ""


class _Dumper(yaml.SafeDumper):
    """Texts that another reader of YAML might take for a number or a truth value stand in quotes."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if MISREAD.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def yaml_of(value: Mapping[str, Any], comments: Mapping[Path, Comment]) -> str:
    """Mappings as blocks, everything else in one line. Comments lie at the path of their field."""
    return "\n".join(_lines(value, comments, ())) + "\n"


def _lines(value: Mapping[str, Any], comments: Mapping[Path, Comment], place: Path) -> Iterator[str]:
    indent = "  " * len(place)
    for key, item in value.items():
        path = (*place, key)
        comment = comments.get(path, Comment())
        yield from (f"{indent}# {printable(line)}".rstrip() for line in comment.above)
        behind = f"  # {printable(comment.behind)}" if comment.behind else ""
        if isinstance(item, Mapping) and item:
            yield f"{indent}{_flow(key)}:{behind}"
            yield from _lines(item, comments, path)
        else:
            yield f"{indent}{_flow(key)}: {_flow(item)}{behind}"


def _flow(value: Any) -> str:
    """In one line, whatever it is."""
    options: dict[str, Any] = {"default_flow_style": True, "allow_unicode": True, "width": ENDLESS, "sort_keys": False}
    text = str(yaml.dump(value, Dumper=_Dumper, **options))
    text = text.removesuffix("...\n").strip()
    return text if text.isprintable() else _quoted(value)


def _quoted(value: Any) -> str:
    """In one line, with an escape for everything that YAML might take for a line's end."""
    return str(
        yaml.safe_dump(value, default_flow_style=True, default_style='"', width=ENDLESS, sort_keys=False)
    ).strip()


def commented(lines: Sequence[str]) -> str:
    return "".join(f"# {printable(line)}".rstrip() + "\n" for line in lines)


def printable(text: str) -> str:
    """Without what would end a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def config_map(name: str, files: Mapping[str, str]) -> str:
    """A ConfigMap whose files read as they are, where YAML has a way to write them so."""
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    whole = head | {"data": dict(files)}
    text = yaml_of(head, {}) + "data:\n" + "".join(_block(key, content) for key, content in files.items())
    try:
        if yaml.safe_load(text) == whole:
            return text
    except yaml.YAMLError:
        pass  # control characters: only quotes hold them
    return _quoted(whole) + "\n"


def _block(key: str, content: str) -> str:
    """The indicator tells the indentation, as the first line may be indented itself; `+` keeps all line ends."""
    lines = content.split("\n")
    body = "\n".join(f"    {line}" if line else "" for line in lines[:-1])
    keep, last = ("+", "") if not lines[-1] else ("-", f"\n    {lines[-1]}")
    return f"  {_flow(key)}: |2{keep}\n{body}{last}\n"
