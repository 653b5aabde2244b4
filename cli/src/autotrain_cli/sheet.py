"""What becomes of every key, as it is found out: a field, a reason not to use it, or a problem."""

from dataclasses import dataclass, field
from typing import Any

from autotrain_cli.conversions import Doubtful, Lost, NotUsed, Read, Unfit
from autotrain_cli.document import Comment, Path
from autotrain_cli.ini import Entry
from autotrain_cli.problems import Problem

SHOWN = 120
"""Characters of a value in messages."""


@dataclass(frozen=True)
class Placed:
    """The value of a field, and the key that it comes from; None when it comes from the command line or from us."""

    value: Any
    entry: Entry | None
    remark: str = ""

    @property
    def origin(self) -> str:
        return f"{self.entry.path} (line {self.entry.line})" if self.entry else self.remark

    def comment(self) -> str:
        if self.entry is None:
            return self.remark
        source = f"line {self.entry.line}: {self.entry.path}"
        return f"{source} is {shorten(self.entry.text)}: {self.remark}" if self.remark else source


@dataclass
class Sheet:
    placed: dict[Path, Placed] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Paths of the keys that fields come from."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Path of a key -> why it is not used."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def place(self, name: str, result: Any, entry: Entry | None) -> None:
        """Give the field `name` (`spec.training.epochs`) a value, which may be wrapped in Read or Doubtful."""
        remark = result.remark if isinstance(result, Read) else ""
        value = result.value if isinstance(result, Read) else result
        if isinstance(result, Doubtful):
            line, key = (entry.line, entry.path) if entry else (None, name)
            self.warnings.append(Problem(line, key, f"{name} is {shorten(value)}: {remark}"))
        self.placed[tuple(name.split("."))] = Placed(value, entry, remark)
        self.used |= {entry.path} if entry else set()

    def skip(self, entry: Entry, why: NotUsed | str) -> None:
        """The first reason counts."""
        self.reasons.setdefault(entry.path, str(why))
        if isinstance(why, Lost):
            self.warnings.append(Problem(entry.line, entry.path, f"not used, because {why}"))

    def refuse(self, entry: Entry, value: Any, allowed: Unfit | str) -> None:
        text = f"found {shorten(value)}; allowed: {allowed}"
        if "\n" in entry.text:
            text += "; lines that are indented deeper go on with the value before"
        self.problems.append(Problem(entry.line, entry.path, text))

    def has(self, name: str) -> Placed | None:
        return self.placed.get(tuple(name.split(".")))

    def tree(self) -> dict[str, Any]:
        """The fields as a nested dict."""
        root: dict[str, Any] = {}
        for path, placed in self.placed.items():
            node = root
            for step in path[:-1]:
                node = node.setdefault(step, {})
            node[path[-1]] = placed.value
        return root

    def comments(self) -> dict[Path, Comment]:
        """For each field the comments above its key, where they were not told yet, and where it comes from."""
        told: set[str] = set()
        found = {}
        for path, placed in self.placed.items():
            above = placed.entry.comments if placed.entry and placed.entry.path not in told else ()
            told |= {placed.entry.path} if placed.entry else set()
            found[path] = Comment(above, placed.comment())
        return found


def shorten(value: Any) -> str:
    """As Python writes it, at most so long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
