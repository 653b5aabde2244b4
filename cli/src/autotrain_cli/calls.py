"""Keys that name own functions become calls with arguments, held against the file that registers them."""

from dataclasses import dataclass
from typing import Any

from autotrain_cli.conversions import Facts, Lost
from autotrain_cli.functions import FunctionsFile, Registered
from autotrain_cli.ini import Entry
from autotrain_cli.mapping import FunctionRow, function_row
from autotrain_cli.problems import Problem
from autotrain_cli.references import Config
from autotrain_cli.serving_part import foreign_at_top, foreign_modules, serving_source
from autotrain_cli.sheet import Sheet

NOT_IN_RECIPES = frozenset({"effdet", "icevision", "mmcv", "mmdet", "mmseg", "torch_snippets"})
"""AutoTrain's libraries that the recipe image does without."""
NO_FILE = "no --functions file was given"


@dataclass(frozen=True)
class Call:
    """A key `@registry = name` with what else stands in its section and below it."""

    row: FunctionRow
    entry: Entry
    name: Any
    arguments: dict[str, Entry]


def place_calls(config: Config, functions: FunctionsFile | None, facts: Facts, sheet: Sheet) -> list[Registered]:
    """Give the fields of own functions their values; returns the functions that serve."""
    serving = []
    for entry in config.ini.entries.values():
        if entry.name.startswith("@") and (row := function_row(entry.path)):
            call = Call(row, entry, config.values[entry.path], _arguments(config, entry))
            found = _place(call, config, functions, facts, sheet)
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


def _place(
    call: Call, config: Config, functions: FunctionsFile | None, facts: Facts, sheet: Sheet
) -> Registered | None:
    row, entry = call.row, call.entry
    if row.only and facts.task not in row.only:
        sheet.skip(entry, Lost(f"{facts.task} has no {row.field}"))
    elif taken := sheet.has(row.function_field):
        why = f"{row.function_field} comes from {taken.origin}, in training as in serving"
        sheet.skip(entry, why if taken.value == call.name else Lost(why))
    elif not isinstance(call.name, str) or not call.name:
        sheet.refuse(entry, call.name, "the name of a function")
    elif functions is None:
        sheet.skip(entry, NO_FILE)
    elif (found := functions.find(row.registry, call.name)) is None:
        _report_missing(call, functions, sheet)
    elif why := _hindrance(call, found, functions):
        known = why in sheet.reasons.values()
        sheet.skip(entry, why if known else Lost(why))
    else:
        _place_found(call, found, config, functions, sheet)
        return found
    return None


def _report_missing(call: Call, functions: FunctionsFile, sheet: Sheet) -> None:
    row = call.row
    names = sorted(entry.name for entry in functions.registered if entry.registry == row.registry)
    there = f"{functions.name} registers {', '.join(names) or 'nothing'} under {row.registry}"
    if functions.unclear:
        lines = ", ".join(map(str, functions.unclear))
        sheet.skip(call.entry, Lost(f"{there}; lines {lines} register what only running them would tell"))
    else:
        sheet.refuse(call.entry, call.name, f"a registered function; {there}")


def _hindrance(call: Call, found: Registered, functions: FunctionsFile) -> str:
    """Why a function of the file cannot be used, if so."""
    row, place = call.row, f"{call.name} ({functions.name}, line {found.line})"
    if row.arguments is None and (lacking := found.lacks(row.offered)):
        return f"{place} needs {', '.join(lacking)}, and {row.field} takes no arguments"
    if row.serves:
        source = serving_source(functions, [found]) or functions.source
        if foreign := foreign_modules(source):
            return f"{place} needs {', '.join(foreign)}, which serving pods do not have"
    return ""


def _warn_of_libraries(call: Call, found: Registered, functions: FunctionsFile, sheet: Sheet) -> None:
    """What a function imports itself, or the whole file, which is run as it is."""
    modules = {*foreign_modules(serving_source(functions, [found]) or functions.source), *foreign_at_top(functions)}
    if absent := sorted(modules & NOT_IN_RECIPES):
        text = f"{call.name} or its file imports {', '.join(absent)}, which only an own compute.image could have"
        sheet.warnings.append(Problem(call.entry.line, call.entry.path, text))


def _place_found(call: Call, found: Registered, config: Config, functions: FunctionsFile, sheet: Sheet) -> None:
    sheet.place(call.row.function_field, call.name, call.entry)
    _warn_of_libraries(call, found, functions, sheet)
    if call.row.arguments is None:
        return
    for name, argument in call.arguments.items():
        sheet.place(f"{call.row.arguments}.{name}", config.values[argument.path], argument)
    given = {name.partition(".")[0]: entry for name, entry in call.arguments.items()}
    takes = ", ".join((*found.required, *found.optional)) or "no arguments"
    what = f"{call.name} ({functions.name}, line {found.line}) takes {takes}"
    if lacking := found.lacks({*given, *call.row.offered}):
        text = f"the section lacks {', '.join(lacking)}; {what}"
        sheet.problems.append(Problem(call.entry.line, call.entry.path, text))
    for name, entry in given.items():
        if not found.open and name not in (*found.required, *found.optional):
            sheet.problems.append(Problem(entry.line, entry.path, f"unknown argument; {what}"))
