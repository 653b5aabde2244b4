"""`autotrain convert`: a TrainingJob out of an AutoTrain config. The only module that reads and writes files."""

import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from autotrain_cli.convert import Conversion, Request
from autotrain_cli.convert import convert as convert_request
from autotrain_cli.functions import LARGEST_BYTES, read_functions
from autotrain_cli.ini import MOST_CHARACTERS
from autotrain_cli.problems import InputError, Problem

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(stderr=True, soft_wrap=True)


class Exit(IntEnum):
    """Exit codes (sysexits.h)."""

    BAD_INPUT = 65
    NO_INPUT = 66
    CANNOT_WRITE = 73


@app.callback()
def autotrain() -> None:
    """Tools around TrainingJobs."""


@app.command()
def convert(
    config: Annotated[Path, typer.Argument(help="an AutoTrain config (ini)", show_default=False)],
    functions: Annotated[
        Path | None, typer.Option(help="its custom_functions.py; becomes a ConfigMap", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option(help="where the YAML goes; absent: stdout", show_default=False)] = None,
    name: Annotated[
        str | None, typer.Option(help="of the TrainingJob; absent: the project's name", show_default=False)
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="what is learned; absent: the project's type", show_default=False)
    ] = None,
    data_uri: Annotated[
        str | None, typer.Option(help="where the data is; absent: data_source_url", show_default=False)
    ] = None,
) -> None:
    """Write the TrainingJob (and ConfigMap) of an AutoTrain config.

    Exit codes: 0, 65 the config or the functions are not right, 66 a file cannot be read, 73 the output cannot be written.
    """
    try:
        request = Request(
            str(config),
            _text(config),
            read_functions(str(functions), _bytes(functions, LARGEST_BYTES)) if functions else None,
            name,
            task,
            data_uri,
            home=os.path.expanduser("~"),  # noqa: PTH111 - Path.home() raises where there is none
            folder=_folder(),
        )
        result = convert_request(request)
    except InputError as error:
        for problem in error.problems:
            _say(problem.describe(str(config)), style="red")
        raise typer.Exit(Exit.BAD_INPUT) from error
    _tell(result, config)
    if output is None:
        _print(result.text)
    else:
        _write(result.text, output, config)


def _text(path: Path) -> str:
    content = _bytes(path, 4 * MOST_CHARACTERS)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError([Problem(line, "", f"byte {error.start} is not UTF-8")]) from error


def _bytes(path: Path, most: int) -> bytes:
    """The file; of one that is too large, one byte more than allowed."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        _end(f"{path}: {_reason(error)}", Exit.NO_INPUT)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError as error:
        _end(f"the working directory: {_reason(error)}", Exit.NO_INPUT)


def _tell(result: Conversion, config: Path) -> None:
    for warning in result.warnings:
        _say(f"warning: {warning.describe(str(config))}", style="yellow")
    _say(f"{config}: {result.mapped} keys mapped, {result.unused} not used (they are listed at the end)")


def _print(text: str) -> None:
    """In UTF-8, whatever the terminal says: that is what kubectl reads."""
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries once more when it ends
        _end(f"stdout: {_reason(error)}", Exit.CANNOT_WRITE)


def _write(text: str, output: Path, config: Path) -> None:
    try:
        if output.exists() and output.samefile(config):
            _end(f"{output}: this is the config itself", Exit.CANNOT_WRITE)
        output.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        _end(f"{output}: {_reason(error)}", Exit.CANNOT_WRITE)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _say(text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False)


def _end(text: str, code: Exit) -> NoReturn:
    _say(text, style="red")
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
