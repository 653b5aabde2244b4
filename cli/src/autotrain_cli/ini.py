"""The lines of a config become entries with their places. What a value means is not decided here.

The dialect is that of Python's configparser as AutoTrain uses it: `key = value` or `key: value`, `#` and `;` lines are
comments, deeper indented lines go on with the value before, names keep their case. Two things are read more kindly:
spaces inside of `[ a.b ]`, and a remark after a value (`0.5  # alpha`), which AutoTrain took as a part of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from autotrain_cli.literals import split_remark
from autotrain_cli.problems import InputError, Problem

MOST_CHARACTERS = 1_000_000
MOST_KEYS = 2_000
HEADER = re.compile(r"\[(?P<name>.+)\]")
ASSIGNMENT = re.compile(r"(?P<name>[^=:]*?)\s*[=:]\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One key. `text` is its value as written, lines of a longer one joined by newlines."""

    section: str
    name: str
    text: str
    line: int
    comments: tuple[str, ...] = ()
    """The comment lines above it and the remark behind it, without their signs."""

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"


@dataclass
class Ini:
    sections: dict[str, int] = field(default_factory=dict)
    """Name -> line."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """Path -> entry, in the file's order."""
    comments: tuple[str, ...] = ()
    """Those that no key follows."""


def read_ini(text: str) -> Ini:
    """Raises InputError with every line that cannot be read."""
    if len(text) > MOST_CHARACTERS:
        raise InputError([Problem(None, "", f"{len(text)} characters; a config has at most {MOST_CHARACTERS}")])
    reader = _Reader()
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), start=1):
        reader.take(number, line)
    if len(reader.ini.entries) > MOST_KEYS:
        reader.problems = [Problem(None, "", f"{len(reader.ini.entries)} keys; a config has at most {MOST_KEYS}")]
    reader.check_tree()
    if reader.problems:
        raise InputError(sorted(reader.problems, key=lambda problem: problem.line or 0))
    entries = {path: _finish(entry) for path, entry in reader.ini.entries.items()}
    return Ini(reader.ini.sections, entries, tuple(reader.comments))


def _finish(entry: Entry) -> Entry:
    text, remark = split_remark(entry.text.strip())
    return replace(entry, text=text, comments=(*entry.comments, remark) if remark else entry.comments)


class _Reader:
    """What is known after the lines so far."""

    def __init__(self) -> None:
        self.ini = Ini()
        self.problems: list[Problem] = []
        self.comments: list[str] = []
        self.section: str | None = None
        self.open: str | None = None
        """Path of the entry that an indented line goes on with."""
        self.indent = 0

    def take(self, number: int, line: str) -> None:
        content = line.strip()
        if content.startswith(("#", ";")):
            self.comments.append(content.lstrip("#;").strip())
        elif content:
            self._take_content(number, content, indent=len(line) - len(line.lstrip()))

    def _take_content(self, number: int, content: str, indent: int) -> None:
        if self.open is not None and indent > self.indent:
            entry = self.ini.entries[self.open]
            self.ini.entries[self.open] = replace(entry, text=f"{entry.text}\n{content}")
            return
        self.indent = indent
        self.open = None
        if header := HEADER.match(content):
            self._take_header(number, header["name"].strip())
        elif (found := ASSIGNMENT.fullmatch(content)) and found["name"]:
            self._take_assignment(number, found["name"], found["value"])
        else:
            self._refuse(number, f"found {content[:60]!r}; allowed: [section], key = value, or a comment after # or ;")

    def _take_header(self, number: int, name: str) -> None:
        self.section = name
        if name == "DEFAULT":
            self._refuse(number, "AutoTrain refuses [DEFAULT]; give the section a name, such as [project]")
        elif name in self.ini.sections:
            self._refuse(number, f"[{name}] is there already, in line {self.ini.sections[name]}; join the two")
        elif not all(name.split(".")):
            self._refuse(
                number, f"[{name}] is no name of a section; allowed: words with dots between, as [training.data]"
            )
        else:
            self.ini.sections[name] = number

    def _take_assignment(self, number: int, name: str, value: str) -> None:
        if self.section is None:
            self._refuse(number, f"{name!r} stands before the first [section]")
            return
        entry = Entry(self.section, name, value, number, tuple(self.comments))
        self.comments = []
        if first := self.ini.entries.get(entry.path):
            self._refuse(number, f"{entry.path} is there already, in line {first.line}; keep one of the two")
            return
        self.ini.entries[entry.path] = entry
        self.open = entry.path

    def check_tree(self) -> None:
        """What is a value has nothing below it."""
        entries = self.ini.entries
        below = [(number, f"[{name}]", name) for name, number in self.ini.sections.items()]
        below += [(entry.line, path, path.rpartition(".")[0]) for path, entry in entries.items() if "." in entry.name]
        for number, shown, name in below:
            for above in (above for above in _ancestors(name) if above in entries):
                text = f"{shown}: {above} is a value, in line {entries[above].line}; rename one of the two"
                self._refuse(number, text)

    def _refuse(self, number: int, text: str) -> None:
        self.problems.append(Problem(number, "", text))


def _ancestors(name: str) -> Iterator[str]:
    """`a.b.c`, `a.b` and `a` of `a.b.c`."""
    while name:
        yield name
        name = name.rpartition(".")[0]
