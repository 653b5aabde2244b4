"""Keys that no row of the table took: why, and what they may have been meant to be."""

import difflib
from collections.abc import Sequence

from autotrain_cli.conversions import Lost, NotUsed
from autotrain_cli.ini import Entry
from autotrain_cli.mapping import FUNCTIONS, known_keys, reason_unused
from autotrain_cli.references import Config
from autotrain_cli.sheet import Sheet

ALIKE = 0.85


def note_leftovers(config: Config, sheet: Sheet) -> None:
    """A reason for each."""
    for entry in config.ini.entries.values():
        if entry.path not in sheet.used and entry.path not in sheet.reasons:
            sheet.skip(entry, reason_unused(entry.path) or _unknown(entry, config))


def _unknown(entry: Entry, config: Config) -> NotUsed:
    if entry.name.startswith("@"):
        return _unknown_registry(entry)
    call = next((path for path in config.ini.entries if path.startswith(f"{entry.section}.@")), None)
    if call is not None:
        return NotUsed(f"it is an argument of {config.values[call]}, which is not used or takes none")
    near = _alike(entry.path, known_keys())
    why = f"AutoTrain operator has no {entry.path}"
    if not near:
        return NotUsed(why)
    there = f", which is in line {config.ini.entries[near[0]].line}" if near[0] in config.ini.entries else ""
    return Lost(f"{why}; did you mean {near[0]}{there}?")


def _alike(path: str, others: Sequence[str]) -> list[str]:
    """The one of `others` that differs in a slip of its last word, or stands in a section around or inside of this."""
    section, _, name = path.rpartition(".")
    beside = {other.rpartition(".")[2]: other for other in others if other.rpartition(".")[0] == section}
    near = [beside[found] for found in difflib.get_close_matches(name, beside, n=1, cutoff=ALIKE)]
    return near or [other for other in others if other.rpartition(".")[2] == name and _nested(section, other)][:1]


def _nested(section: str, path: str) -> bool:
    other = f"{path.rpartition('.')[0]}."
    return other.startswith(f"{section}.") or f"{section}.".startswith(other)


def _unknown_registry(entry: Entry) -> NotUsed:
    names = [row.registry for row in FUNCTIONS]
    near = difflib.get_close_matches(entry.name[1:], names, n=1)
    hint = f"did you mean @{near[0]}?" if near else f"it has {', '.join(names)}"
    return Lost(f"AutoTrain operator has no registry {entry.name[1:]}; {hint}")


def resembling(keys: Sequence[str], config: Config, sheet: Sheet) -> str:
    """A question about the unused key that looks most like one of `keys`."""
    idle = [path for path in config.ini.entries if path not in sheet.used]
    near = [found for key in keys for found in _alike(key, idle)]
    return f"; is it {near[0]} in line {config.ini.entries[near[0]].line}?" if near else ""
