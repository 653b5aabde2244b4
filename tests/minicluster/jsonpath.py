"""The JSON paths of printer columns: fields, indexes, slices and filters such as `[?(@.type=="Ready")]`."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

Step = Callable[[list[Any]], list[Any]]

_PART = re.compile(
    r"""\.?(?:
        (?P<field>[A-Za-z_][\w\-]*(?:\\\.[\w\-/]+)*) |
        \[(?P<index>-?\d+)\] |
        \[(?P<start>-?\d*):(?P<end>-?\d*)\] |
        \[(?P<all>\*)\] |
        \[['"](?P<quoted>[^'"]+)['"]\] |
        \[\?\(\s*@\.(?P<key>[\w.\-]+)\s*(?P<test>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[\w.\-]+)\s*\)\]
    )""",
    re.VERBOSE,
)


def find(item: Any, path: str) -> list[Any]:
    """Every value at the path, none where there is none."""
    found = [item]
    for step in _steps(path):
        found = step(found)
    return found


@functools.lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...]:
    steps, place = [], 0
    while place < len(path):
        part = _PART.match(path, place)
        if part is None or part.end() == place:
            raise ValueError(f"JSON path {path!r} is not understood from {path[place:]!r} on")
        steps.append(_step(part))
        place = part.end()
    return tuple(steps)


def _step(part: re.Match[str]) -> Step:
    if part["key"]:
        return _filter(part["key"].split("."), part["test"] == "==", _literal(part["value"]))
    if part["index"]:
        return _slice(int(part["index"]), None, single=True)
    if part["all"] or part["start"] is not None:
        return _slice(int(part["start"] or 0), int(part["end"]) if part["end"] else None, single=False)
    name = part["quoted"] or part["field"].replace("\\.", ".")
    return lambda found: [entry[name] for entry in found if isinstance(entry, dict) and name in entry]


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _slice(start: int, end: int | None, single: bool) -> Step:
    def step(found: list[Any]) -> list[Any]:
        lists = [entry for entry in found if isinstance(entry, list)]
        if single:
            return [entry[start] for entry in lists if -len(entry) <= start < len(entry)]
        return [value for entry in lists for value in entry[start:end]]

    return step


def _filter(keys: list[str], wanted: bool, value: Any) -> Step:
    def at(entry: Any) -> Any:
        for key in keys:
            entry = entry.get(key) if isinstance(entry, dict) else None
        return entry

    return lambda found: [
        entry for inner in found if isinstance(inner, list) for entry in inner if (at(entry) == value) == wanted
    ]
