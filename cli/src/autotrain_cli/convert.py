"""A config and its functions become a TrainingJob and a ConfigMap. START HERE: `convert` tells the whole story. No I/O."""

import difflib
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from autotrain_api.names import API_VERSION, KIND
from autotrain_api.trainingjob import LAYOUTS, Layout, Task, TrainingJob
from autotrain_cli import architectures, conversions, mapping
from autotrain_cli.calls import place_calls
from autotrain_cli.conversions import Doubtful, Facts, Lost, NotUsed, Read, Unfit
from autotrain_cli.functions import FunctionsFile, Registered
from autotrain_cli.ini import Entry, read_ini
from autotrain_cli.mapping import ROWS, Row, known_keys, reason_unused
from autotrain_cli.problems import InputError, Problem
from autotrain_cli.references import Config, resolve
from autotrain_cli.serving_part import foreign_modules, serving_source
from autotrain_cli.sheet import Sheet, shorten
from autotrain_cli.writing import written

KEY = "custom_functions.py"
SERVING_KEY = "serving_functions.py"
TASK_KEYS = next(row.keys for row in ROWS if row.field == "spec.task")


@dataclass(frozen=True)
class Request:
    """What a person asks for. `home` and `folder` are where the config's paths begin."""

    file: str
    text: str
    functions: FunctionsFile | None = None
    name: str | None = None
    task: str | None = None
    data_uri: str | None = None
    home: str = "/"
    folder: str = "/"


@dataclass(frozen=True)
class Conversion:
    text: str
    """YAML."""
    mapped: int
    unused: int
    warnings: list[Problem]


def convert(request: Request) -> Conversion:
    """Raises InputError with everything that is wrong."""
    config = resolve(read_ini(request.text))
    sheet = Sheet()
    facts = _facts(config, request, sheet)
    _place_options(request, facts, sheet)
    serving = place_calls(config, request.functions, sheet)
    _place_rows(config, facts, sheet)
    _note_rest(config, sheet)
    _place_defaults(config, request, facts, sheet)
    files = _place_functions(request, serving, sheet)
    _check(config, sheet)
    entries = config.ini.entries.values()
    unused = [entry for entry in entries if entry.path not in sheet.used]
    return Conversion(
        written(PurePath(request.file).name, config, sheet, files, unused),
        len(entries) - len(unused),
        len(unused),
        sheet.warnings,
    )


# --- what comes before the table


def _facts(config: Config, request: Request, sheet: Sheet) -> Facts:
    root = config.values.get("training.dir")
    return Facts(_task(config, request, sheet), root if isinstance(root, str) else None, request.home, request.folder)


def _task(config: Config, request: Request, sheet: Sheet) -> Task:
    """From the command line, the config's own word, or the kind of network."""
    key = next((key for key in TASK_KEYS if key in config.values), None)
    try:
        if request.task is not None:
            return architectures.task_named(request.task)
        if key is not None:
            return architectures.task_named(str(config.values[key]))
    except Unfit as allowed:
        if request.task is not None:
            raise InputError([Problem(None, "--task", f"found {request.task!r}; allowed: {allowed}")]) from allowed
        sheet.refuse(config.ini.entries[str(key)], config.values[str(key)], allowed)
    return architectures.task_of_network(config.values.get("architecture.model_type"))


def _place_options(request: Request, facts: Facts, sheet: Sheet) -> None:
    """The command line has the first word."""
    sheet.place("apiVersion", API_VERSION, None)
    sheet.place("kind", KIND, None)
    if request.name is not None:
        sheet.place("metadata.name", Read(request.name, "--name"), None)
    if request.task is not None:
        sheet.place("spec.task", Read(facts.task, "--task"), None)
    if request.data_uri is not None:
        try:
            sheet.place("spec.data.uri", Read(request.data_uri, "--data-uri"), None)
        except Unfit as allowed:
            raise InputError(
                [Problem(None, "--data-uri", f"found {request.data_uri!r}; allowed: {allowed}")]
            ) from allowed


# --- the table


def _place_rows(config: Config, facts: Facts, sheet: Sheet) -> None:
    arguments = frozenset(sheet.used)
    for row in (row for row in ROWS if not row.only or facts.task in row.only):
        for key in row.keys:
            entry = config.ini.entries.get(key)
            if entry is not None and key not in arguments:
                _place_row(row, entry, config.values[key], facts, sheet)
    for row in (row for row in ROWS if row.only and facts.task not in row.only):
        for entry in (config.ini.entries[key] for key in row.keys if key in config.ini.entries):
            sheet.skip(entry, row.otherwise or f"{facts.task} has no {row.field}")


def _place_row(row: Row, entry: Entry, value: Any, facts: Facts, sheet: Sheet) -> None:
    if value is None or value == "":
        sheet.skip(entry, "it is empty")
    elif taken := sheet.has(row.field):
        sheet.skip(entry, f"{row.field} comes from {taken.origin}")
    else:
        try:
            sheet.place(row.field, row.convert(value, facts), entry)
        except NotUsed as why:
            sheet.skip(entry, why)
        except Unfit as allowed:
            sheet.refuse(entry, value, allowed)


def _note_rest(config: Config, sheet: Sheet) -> None:
    """Reasons for the keys that no row has."""
    for entry in config.ini.entries.values():
        if entry.path not in sheet.used and entry.path not in sheet.reasons:
            sheet.skip(entry, reason_unused(entry.path) or _unknown(entry, config))


def _unknown(entry: Entry, config: Config) -> NotUsed:
    owner = next((path for path in config.ini.entries if path.startswith(f"{entry.section}.@")), None)
    if owner is not None and not entry.name.startswith("@"):
        return NotUsed(f"it is an argument of {config.values[owner]}, which is not used or takes none")
    near = difflib.get_close_matches(
        entry.path, [key for key in known_keys() if key not in config.values], n=1, cutoff=0.8
    )
    if entry.name.startswith("@"):
        registries = {row.registry for row in mapping.FUNCTIONS}
        near = [f"@{name}" for name in difflib.get_close_matches(entry.name[1:], registries, n=1, cutoff=0.4)]
    why = f"AutoTrain operator has no {entry.path}"
    return Lost(f"{why}; did you mean {near[0]}?") if near else NotUsed(why)


# --- what comes after the table


def _place_defaults(config: Config, request: Request, facts: Facts, sheet: Sheet) -> None:
    """What a TrainingJob must have and a config may lack."""
    if sheet.has("metadata.name") is None and "project.name" not in config.values:
        name = conversions.object_name(PurePath(request.file).stem, facts)
        value = name.value if isinstance(name, Read) else name
        sheet.place("metadata.name", Read(value, "from the name of the file, as there is no project.name"), None)
    if sheet.has("spec.task") is None:
        remark = "there is no project.type; the kind of network tells"
        sheet.place("spec.task", Doubtful(facts.task, remark), None)
    missing = {
        "spec.data.uri": "project.data_source_url or training.dir; or give --data-uri",
        "spec.model.backbone": "architecture.backbone.model or architecture.backbone",
    }
    told = {problem.key for problem in sheet.problems}
    for field, wanted in missing.items():
        keys = next(row.keys for row in ROWS if row.field == field)
        if sheet.has(field) is None and not told & set(keys):
            sheet.problems.append(Problem(None, "", f"found no {wanted}{_near(keys, config, sheet)}"))


def _near(keys: tuple[str, ...], config: Config, sheet: Sheet) -> str:
    """A key of the config that looks like one of `keys`."""
    idle = [entry for entry in config.ini.entries.values() if entry.path not in sheet.used]
    near = [entry for key in keys for entry in idle if difflib.SequenceMatcher(None, key, entry.path).ratio() > 0.8]
    return f"; is it {near[0].path} in line {near[0].line}?" if near else ""


def _place_functions(request: Request, serving: list[Registered], sheet: Sheet) -> dict[str, str]:
    """spec.functions, and the files of the ConfigMap, when a field names a function."""
    file, name = request.functions, sheet.has("metadata.name")
    named = any(path[-1] == "function" for path in sheet.placed)
    if file is None or name is None:
        return {}
    if not named:
        sheet.warnings.append(Problem(None, "", "the config names none of its functions that could be used", file.name))
        return {}
    files = {KEY: file.source}
    sheet.place("spec.functions.configMapRef.name", Read(f"{name.value}-functions", "the ConfigMap above"), None)
    sheet.place("spec.functions.configMapRef.key", KEY, None)
    part = serving_source(file, serving) if serving else None
    if part is not None:
        files[SERVING_KEY] = part
        sheet.place("spec.functions.configMapRef.servingKey", SERVING_KEY, None)
    if serving and (foreign := foreign_modules(part or file.source)):
        names = ", ".join(sorted({entry.name for entry in serving}))
        text = f"{names}: the server has no {', '.join(foreign)}; the training will refuse it, or set serving.image"
        sheet.warnings.append(Problem(None, "", text, file.name))
    return files


# --- is it a TrainingJob?


def _check(config: Config, sheet: Sheet) -> None:
    """Raises InputError."""
    if not sheet.problems:
        try:
            TrainingJob.model_validate(sheet.tree())
        except ValidationError as error:
            sheet.problems += [
                _problem(tuple(map(str, each["loc"])), each["msg"], each["input"], sheet) for each in error.errors()
            ]
    if sheet.problems:
        raise InputError(sorted(sheet.problems, key=lambda problem: problem.line or 0))


def _problem(path: tuple[str, ...], message: str, found: Any, sheet: Sheet) -> Problem:
    """A refusal of the contract, told about the key that it comes from."""
    field = ".".join(path)
    allowed = message.removeprefix("Value error, ").removeprefix("Input should be ")
    for length in range(len(path), 0, -1):
        placed = sheet.placed.get(path[:length])
        if placed is not None and placed.entry is not None:
            entry = placed.entry
            return Problem(entry.line, entry.path, f"found {shorten(placed.value)}; allowed in {field}: {allowed}")
    return Problem(None, field, f"found {shorten(found)}; allowed: {allowed}")


def layout_of(task: Task) -> Layout:
    return LAYOUTS[task][0]
