"""The finished sheet becomes YAML: the ConfigMap, the TrainingJob, and what is not used."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autotrain_cli.document import commented, config_map, yaml_of
from autotrain_cli.ini import Entry
from autotrain_cli.references import Config
from autotrain_cli.sheet import Sheet

LONGEST_TEXT = 60
SECRET = re.compile(r"secret|passw|token|credential|access_?key|api_?key", re.IGNORECASE)


def written(
    file: str,
    job: Mapping[str, Any],
    files: Mapping[str, str],
    config: Config,
    sheet: Sheet,
    unused: Sequence[Entry],
) -> str:
    """Documents in the order in which they are to be applied."""
    reference = sheet.has("spec.functions.configMapRef.name")
    map_text = f"{config_map(reference.value, files)}---\n" if reference else ""
    head = commented([f"Converted from {file} by `autotrain convert`."])
    return head + map_text + yaml_of(job, sheet.comments()) + commented(list(_rest(config, sheet, unused)))


def _rest(config: Config, sheet: Sheet, unused: Sequence[Entry]) -> Iterator[str]:
    if unused:
        yield ""
        yield "Keys that are not used:"
    for entry in unused:
        yield from (f"    ({comment})" for comment in entry.comments)
        yield (
            f"  line {entry.line}: {entry.path} = {_shown(entry)}: not used, because {sheet.reasons[entry.path]}"
            + (_references(config, entry))
        )
    if config.ini.comments:
        yield ""
        yield from config.ini.comments


def _references(config: Config, entry: Entry) -> str:
    lines = sorted(set(config.used_by.get(entry.path, [])))
    if len(lines) == 1:
        return f"; line {lines[0]} refers to it"
    return f"; lines {', '.join(map(str, lines))} refer to it" if lines else ""


def _shown(entry: Entry) -> str:
    """The value, unless its name says that it is not for everybody's eyes."""
    text = "***" if SECRET.search(entry.name) else " ".join(entry.text.split())
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
