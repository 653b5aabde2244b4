"""`${a.b}` becomes what it stands for.

A reference of one word is looked up in its own section, then in those around it; one with dots is looked up from the top
first. `${a:b}` is the same as `${a.b}`, `$$` is a dollar sign, and a reference that is the whole value may name a section.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from autotrain_cli.ini import Entry, Ini
from autotrain_cli.literals import quoted, read_literal
from autotrain_cli.problems import InputError, Problem

DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[^{}]*)\})?")
DEEPEST = 50
LONGEST = 100_000


@dataclass
class Config:
    """The values of a config by their paths, with the entries that they come from."""

    ini: Ini
    values: dict[str, Any] = field(default_factory=dict)
    used_by: dict[str, list[int]] = field(default_factory=dict)
    """Path -> lines of the references to it."""

    def below(self, section: str) -> dict[str, Any]:
        """The keys of a section and, as dicts, the sections in it."""
        found = {entry.name: self.values[path] for path, entry in self.ini.entries.items() if entry.section == section}
        inner = [name for name in self.ini.sections if name.rpartition(".")[0] == section]
        return found | {name.rpartition(".")[2]: self.below(name) for name in inner}


def resolve(ini: Ini) -> Config:
    """Raises InputError with every reference that leads nowhere."""
    resolver = _Resolver(ini)
    problems = []
    for path, entry in ini.entries.items():
        try:
            resolver.config.values[path] = resolver.value_of(entry)
        except InputError as error:
            problems += error.problems
    problems += resolver.nested_sections()
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    for path, name in resolver.whole_sections.items():
        resolver.config.values[path] = resolver.config.below(name)
    return resolver.config


class _Resolver:
    def __init__(self, ini: Ini) -> None:
        self.ini = ini
        self.config = Config(ini)
        self.texts: dict[str, str] = {}
        self.whole_sections: dict[str, str] = {}
        """Path of a value -> the section that it stands for."""

    def nested_sections(self) -> list[Problem]:
        """A value that stands for a section in which a value stands for a section."""
        return [
            Problem(self.ini.entries[path].line, path, f"[{name}] has {inner}, which stands for a section itself")
            for path, name in self.whole_sections.items()
            for inner in self.whole_sections
            if inner.startswith(f"{name}.")
        ]

    def value_of(self, entry: Entry) -> Any:
        if (whole := DOLLAR.fullmatch(entry.text)) and whole["name"] is not None:
            target = self.find(whole["name"], entry)
            if isinstance(target, str):
                self.whole_sections[entry.path] = target
                return None
        text = self.text_of(entry, ())
        return text if quoted(entry.text) is not None else read_literal(text)

    def text_of(self, entry: Entry, chain: tuple[str, ...]) -> str:
        """The value with its references filled in; that of a quoted text without its quotes. Raises InputError."""
        if entry.path in self.texts:
            return self.texts[entry.path]
        if entry.path in chain:
            circle = " -> ".join((*chain[chain.index(entry.path) :], entry.path))
            raise _refusal(entry, f"the references go in a circle: {circle}")
        if len(chain) >= DEEPEST:
            raise _refusal(entry, f"more than {DEEPEST} references lead from one to the next")
        raw = quoted(entry.text)
        text = ""
        for piece in self._pieces(entry, entry.text if raw is None else raw, (*chain, entry.path)):
            text += piece
            if len(text) > LONGEST:
                raise _refusal(entry, f"its references make more than {LONGEST} characters of it")
        self.texts[entry.path] = text
        return text

    def _pieces(self, entry: Entry, text: str, chain: tuple[str, ...]) -> Iterator[str]:
        end = 0
        for found in DOLLAR.finditer(text):
            yield text[end : found.start()]
            end = found.end()
            if found["escaped"]:
                yield "$"
            elif found["name"] is None:
                raise _refusal(entry, f"found {text!r}; allowed after $: {{section.key}}, or $ for a dollar sign")
            else:
                target = self.find(found["name"], entry)
                if isinstance(target, str):
                    raise _refusal(entry, f"${{{found['name']}}} is a whole section; name one of its keys")
                yield self.text_of(target, chain)
        yield text[end:]

    def find(self, name: str, entry: Entry) -> Entry | str:
        """The entry that a reference means, or the name of a section. Raises InputError."""
        path = name.strip().replace(":", ".")
        scopes = list(_scopes(entry.section))
        order = [scopes[-1], *scopes[:-1]] if "." in path else scopes
        wanted = [f"{scope}.{path}" if scope else path for scope in order]
        for candidate in wanted:
            if candidate != entry.path and candidate in self.ini.entries:
                self.config.used_by.setdefault(candidate, []).append(entry.line)
                return self.ini.entries[candidate]
        if path in self.ini.sections and not f"{entry.section}.".startswith(f"{path}."):
            return path
        if entry.path in wanted:
            raise _refusal(entry, f"${{{name}}} is this very key")
        raise _refusal(entry, f"there is no {path!r}{self._hint(path, entry)}")

    def _hint(self, path: str, entry: Entry) -> str:
        known = [name for name in (*self.ini.entries, *self.ini.sections) if name != entry.path]
        last = path.rpartition(".")[2]
        near = [name for name in known if name.rpartition(".")[2] == last] or difflib.get_close_matches(
            path, known, n=1
        )
        return f"; did you mean ${{{near[0]}}}?" if near else ""


def _scopes(section: str) -> Iterator[str]:
    """The section, those around it, and the top ("")."""
    while section:
        yield section
        section = section.rpartition(".")[0]
    yield ""


def _refusal(entry: Entry, text: str) -> InputError:
    return InputError([Problem(entry.line, entry.path, text)])
