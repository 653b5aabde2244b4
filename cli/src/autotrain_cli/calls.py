"""Keys that name own functions become calls with arguments, held against the file that registers them."""

from dataclasses import dataclass
from typing import Any

from autotrain_cli.conversions import Lost
from autotrain_cli.functions import FunctionsFile, Registered
from autotrain_cli.ini import Entry
from autotrain_cli.mapping import FunctionRow, function_row
from autotrain_cli.problems import Problem
from autotrain_cli.references import Config
from autotrain_cli.sheet import Sheet

NO_FILE = "no --functions file was given"


@dataclass(frozen=True)
class Call:
    """A key `@registry = name` with what else stands in its section and below it."""

    row: FunctionRow
    entry: Entry
    name: Any
    arguments: dict[str, Entry]


def place_calls(config: Config, functions: FunctionsFile | None, sheet: Sheet) -> list[Registered]:
    """Give the fields of own functions their values; returns the functions that serve."""
    serving = []
    for entry in config.ini.entries.values():
        if entry.name.startswith("@") and (row := function_row(entry.path)):
            call = Call(row, entry, config.values[entry.path], _arguments(config, entry))
            found = _place(call, config, functions, sheet)
            serving += [found] if found and row.serves else []
    if left := [entry for entry in config.ini.entries.values() if sheet.reasons.get(entry.path) == NO_FILE]:
        names = ", ".join(dict.fromkeys(str(config.values[entry.path]) for entry in left))
        sheet.warnings.append(Problem(left[0].line, left[0].path, f"{names} not used, because {NO_FILE}"))
    return serving


def _arguments(config: Config, call: Entry) -> dict[str, Entry]:
    """By their names below the section. Sections that hold calls themselves are no arguments."""
    entries = config.ini.entries.values()
    calls = {entry.section for entry in entries if entry.name.startswith("@") and entry.section != call.section}
    return {
        entry.path.removeprefix(f"{call.section}."): entry
        for entry in entries
        if f"{entry.section}.".startswith(f"{call.section}.")
        and not entry.name.startswith("@")
        and not any(f"{entry.section}.".startswith(f"{section}.") for section in calls)
    }


def _place(call: Call, config: Config, functions: FunctionsFile | None, sheet: Sheet) -> Registered | None:
    row, entry = call.row, call.entry
    field = row.field if row.field.endswith(".function") else f"{row.field}.function"
    if taken := sheet.has(field):
        sheet.skip(entry, f"{field} comes from {taken.origin}, in training as in serving")
        return None
    if not isinstance(call.name, str) or not call.name:
        sheet.refuse(entry, call.name, "the name of a function")
        return None
    if functions is None:
        sheet.skip(entry, NO_FILE)
        return None
    found = functions.find(row.registry, call.name)
    if found is None:
        _report_missing(call, functions, sheet)
        return None
    if row.arguments is None and found.required:
        needs = ", ".join(found.required)
        why = f"{call.name} ({functions.name}, line {found.line}) needs {needs}, and {field} takes no arguments"
        sheet.skip(entry, Lost(why))
        return None
    sheet.place(field, call.name, entry)
    if row.arguments is not None:
        _check_arguments(call, found, functions, sheet)
        for name, argument in call.arguments.items():
            sheet.place(f"{row.arguments}.{name}", config.values[argument.path], argument)
    return found


def _report_missing(call: Call, functions: FunctionsFile, sheet: Sheet) -> None:
    row = call.row
    names = sorted(entry.name for entry in functions.registered if entry.registry == row.registry)
    there = f"{functions.name} registers {', '.join(names) or 'nothing'} under {row.registry}"
    if functions.unclear:
        lines = ", ".join(map(str, functions.unclear))
        sheet.skip(call.entry, Lost(f"{there}; lines {lines} register what only running them would tell"))
    else:
        sheet.refuse(call.entry, call.name, f"a registered function; {there}")


def _check_arguments(call: Call, found: Registered, functions: FunctionsFile, sheet: Sheet) -> None:
    if found.open:
        return
    given = {name.partition(".")[0]: entry for name, entry in call.arguments.items()}
    takes = ", ".join((*found.required, *found.optional)) or "no arguments"
    what = f"{call.name} ({functions.name}, line {found.line}) takes {takes}"
    for name in found.required:
        if name not in given:
            sheet.problems.append(
                Problem(call.entry.line, call.entry.path, f"{name} is missing in the section; {what}")
            )
    for name, entry in given.items():
        if name not in (*found.required, *found.optional):
            sheet.problems.append(Problem(entry.line, entry.path, f"unknown argument; {what}"))
