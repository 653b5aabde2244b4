"""A config and its functions become a TrainingJob and a ConfigMap. START HERE: `convert` tells the whole story. No I/O."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from autotrain_api.names import API_VERSION, KIND
from autotrain_api.trainingjob import Task, TrainingJob
from autotrain_cli import architectures, conversions
from autotrain_cli.calls import place_calls
from autotrain_cli.conversions import Doubtful, Facts, NotUsed, Read, Unfit
from autotrain_cli.functions import FunctionsFile, Registered
from autotrain_cli.ini import Entry, read_ini
from autotrain_cli.leftovers import note_leftovers, resembling
from autotrain_cli.mapping import ROWS, Row, keys_of
from autotrain_cli.problems import InputError, Problem
from autotrain_cli.references import Config, resolve
from autotrain_cli.serving_part import serving_source
from autotrain_cli.sheet import Sheet, shorten
from autotrain_cli.writing import written

KEY = "custom_functions.py"
SERVING_KEY = "serving_functions.py"
REQUIRED = {
    "spec.data.uri": "project.data_source_url or training.dir; or give --data-uri",
    "spec.model.backbone": "architecture.backbone.model or architecture.backbone",
}
"""Fields that a config has to fill, and how."""


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
    serving = place_calls(config, request.functions, facts, sheet)
    _place_rows(config, facts, sheet)
    note_leftovers(config, sheet)
    _place_defaults(config, request, facts, sheet)
    files = _place_functions(request, serving, sheet)
    job = _checked(sheet)
    unused = [entry for path, entry in config.ini.entries.items() if path not in sheet.used]
    text = written(PurePath(request.file).name, job, files, config, sheet, unused)
    return Conversion(text, len(config.ini.entries) - len(unused), len(unused), sheet.warnings)


# --- what comes before the table


def _facts(config: Config, request: Request, sheet: Sheet) -> Facts:
    root = config.values.get("training.dir")
    return Facts(_task(config, request, sheet), root if isinstance(root, str) else None, request.home, request.folder)


def _task(config: Config, request: Request, sheet: Sheet) -> Task:
    """From the command line, the config's own word, or the kind of network."""
    key = next((key for key in keys_of("spec.task") if key in config.values), None)
    try:
        if request.task is not None:
            return architectures.task_named(request.task)
        if key is not None:
            return architectures.task_named(str(config.values[key]))
    except Unfit as allowed:
        if request.task is not None:
            raise InputError([Problem(None, "--task", f"found {request.task!r}; allowed: {allowed}")]) from allowed
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
        sheet.place("spec.data.uri", Read(request.data_uri, "--data-uri"), None)


# --- the table


def _place_rows(config: Config, facts: Facts, sheet: Sheet) -> None:
    entries, arguments = config.ini.entries, frozenset(sheet.used)
    for row in ROWS:
        for entry in (entries[key] for key in row.keys if key in entries and key not in arguments):
            if not row.only or facts.task in row.only:
                _place_row(row, entry, config.values[entry.path], facts, sheet)
    for row in ROWS:
        for entry in (entries[key] for key in row.keys if key in entries and row.only and facts.task not in row.only):
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


# --- what comes after the table


def _place_defaults(config: Config, request: Request, facts: Facts, sheet: Sheet) -> None:
    """What a TrainingJob must have and a config may lack."""
    told = {problem.key for problem in sheet.problems}
    missing = [field for field in ("metadata.name", "spec.task", *REQUIRED) if sheet.has(field) is None]
    for field in missing:
        if told & set(keys_of(field)):
            continue
        if field == "metadata.name":
            sheet.place(field, _name_of_file(request, facts), None)
        elif field == "spec.task":
            sheet.place(field, Doubtful(facts.task, "there is no project.type; the kind of network tells"), None)
        else:
            hint = resembling(keys_of(field), config, sheet)
            sheet.problems.append(Problem(None, field, f"found no {REQUIRED[field]}{hint}"))


def _name_of_file(request: Request, facts: Facts) -> Read:
    try:
        name = conversions.object_name(PurePath(request.file).stem, facts)
    except Unfit:
        name = "autotrain"
    return Read(name.value if isinstance(name, Read) else name, "there is no project.name: that of the file")


def _place_functions(request: Request, serving: list[Registered], sheet: Sheet) -> dict[str, str]:
    """spec.functions, and the files of the ConfigMap, when a field names a function."""
    file, name = request.functions, sheet.has("metadata.name")
    if file is None or name is None:
        return {}
    if not any(path[-1] == "function" and "args" not in path for path in sheet.placed):
        sheet.warnings.append(Problem(None, "", "the config uses none of its functions", file.name))
        return {}
    files = {KEY: file.source}
    sheet.place("spec.functions.configMapRef.name", Read(f"{name.value}-functions", "the ConfigMap above"), None)
    sheet.place("spec.functions.configMapRef.key", KEY, None)
    part = serving_source(file, serving) if serving else None
    if part is not None:
        files[SERVING_KEY] = part
        sheet.place("spec.functions.configMapRef.servingKey", SERVING_KEY, None)
    return files


# --- is it a TrainingJob?


def _checked(sheet: Sheet) -> dict[str, Any]:
    """The object with its fields in the contract's order. Raises InputError."""
    if not sheet.problems:
        try:
            job = TrainingJob.model_validate(sheet.tree())
            return job.model_dump(mode="json", by_alias=True, exclude_unset=True)
        except ValidationError as error:
            sheet.problems += [
                _problem(tuple(map(str, each["loc"])), each["msg"], each["input"], sheet) for each in error.errors()
            ]
    raise InputError(sorted(sheet.problems, key=lambda problem: problem.line or 0))


def _problem(path: tuple[str, ...], message: str, found: Any, sheet: Sheet) -> Problem:
    """A refusal of the contract, told about the key or option that it comes from."""
    field = ".".join(path)
    allowed = message.removeprefix("Value error, ").removeprefix("Input should be ")
    origins = (sheet.placed.get(path[:length]) for length in range(len(path), 0, -1))
    placed = next((placed for placed in origins if placed is not None), None)
    if placed is None:
        return Problem(None, field, f"found {shorten(found)}; allowed: {allowed}")
    text = f"found {shorten(placed.value)}; allowed in {field}: {allowed}"
    if placed.entry is None:
        return Problem(None, placed.remark if placed.remark.startswith("--") else field, text)
    return Problem(placed.entry.line, placed.entry.path, text)
