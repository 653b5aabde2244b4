"""`autotrain-trainer train | check | validate`: the same entry in the Job and on a laptop."""

import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console

from autotrain_api import names
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed, Succeeded, dump_outcome
from autotrain_api.run import RunConfig, load_run
from autotrain_trainer import output
from autotrain_trainer.failures import RunError, Terminated, translate
from autotrain_trainer.progress import ProgressBoard, serve

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console(width=120, soft_wrap=True)
Config = Annotated[Path, typer.Option("--config", help="run.yaml, as the operator writes it", dir_okay=False)]
TerminationLog = Annotated[
    Path, typer.Option(envvar="AUTOTRAIN_TERMINATION_LOG", help="where the outcome is left for the kubelet")
]
DEFAULT_LOG = Path(names.TERMINATION_LOG)


@app.command()
def train(config: Config, termination_log: TerminationLog = DEFAULT_LOG) -> None:
    """Train, measure and write the bundle. Exit codes: 0, 65 (spec or data), 75 (out of memory), else a crash."""
    signal.signal(signal.SIGTERM, _terminate)
    outcome, code = attempt(config, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    show(outcome)
    leave(outcome, termination_log)
    sys.stdout.flush()
    os._exit(code)  # loaders and compilers leave threads behind that would hold up a finished run


def attempt(config: Path, settled: Callable[[], object] = lambda: None) -> tuple[Succeeded | Failed, int]:
    """One run, from its file to its outcome and exit code; from `settled` on nothing may change them."""
    board = ProgressBoard(console)
    work = server = None
    try:
        work = Path(tempfile.mkdtemp(prefix="autotrain-"))
        run = read_config(config)
        server = serve(board)
        outcome = run_attempt(run, board, work)
        settled()
    except (Exception, Terminated) as error:  # noqa: BLE001 - every end of a run has an outcome
        settled()
        problem = translate(error, stage_of(board))
        if problem.reason == Reason.CRASHED:
            console.print_exception(show_locals=False)
        return problem.outcome(), problem.exit_code
    else:
        return outcome, ExitCode.OK
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def run_attempt(run: RunConfig, board: ProgressBoard, work: Path) -> Succeeded:
    """Find the finished bundle or make it. Raises RunError."""
    place = output.output_of(run, work)
    if found := place.find_finished(run.revision):
        board.say(f"found the bundle of {run.revision}: nothing to train", percent=100)
        return found
    place.prepare()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")  # not about us, and first in every log
    from autotrain_trainer.recipes import running  # torch takes seconds to import; what fails before should not

    outcome = running.run_recipe(output.localised(run, place), board, work, place.keep)
    board.say("putting the bundle into its place", percent=98)
    place.publish()
    board.say("done", percent=100)
    return outcome


def read_config(path: Path) -> RunConfig:
    """Raises RunError."""
    try:
        return load_run(path)
    except (OSError, yaml.YAMLError) as error:
        raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, f"{path}: {place}: {first['msg']}") from error


def stage_of(board: ProgressBoard) -> Stage:
    """Where a foreign error came from, by how far the run was."""
    percent = board.current.percent
    if percent < 5:
        return Stage.DATA if percent in (0, 3) else Stage.MODEL
    return Stage.TRAINING if percent < 92 else Stage.EXPORT


def leave(outcome: Succeeded | Failed, path: Path) -> None:
    """Write the termination message, where there is a place for it."""
    if path.exists() or path != DEFAULT_LOG:
        path.write_text(dump_outcome(outcome), encoding="utf-8")


def show(outcome: Succeeded | Failed) -> None:
    if isinstance(outcome, Failed):
        console.print(f"[bold red]{outcome.stage}: {outcome.reason}[/]: ", end="")
        console.print(outcome.message, markup=False, highlight=False)
        console.print(outcome.hint, markup=False, highlight=False)
        return
    for metric in outcome.metrics:
        console.print(
            f"{metric.name} {metric.value:.4f} (95 % interval {metric.low:.4f} to {metric.high:.4f}, "
            f"{metric.samples} pictures)",
            highlight=False,
        )


def _terminate(*_: object) -> None:
    raise Terminated


@app.command()
def check(config: Config) -> None:
    """Try everything but the training: data, split, export and the first decisions."""
    work = Path(tempfile.mkdtemp(prefix="autotrain-"))
    board = ProgressBoard(console)
    try:
        run = read_config(config)
        from autotrain_trainer.recipes import running

        ready = running.prepare(output.localised(run, output.output_of(run, work)), board, work)
        running.try_step(ready)
        console.print(f"{len(ready.classes)} classes: {', '.join(ready.classes[:20])}", markup=False, highlight=False)
        console.print(ready.resolved.model_dump_json(indent=1), highlight=False)
    except Exception as error:
        problem = translate(error, stage_of(board))
        show(problem.outcome())
        raise typer.Exit(problem.exit_code) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@app.command()
def validate(
    bundle: Annotated[Path, typer.Option(help="the bundle's folder", file_okay=False)],
    image: Annotated[list[Path], typer.Option(help="a picture; may be given several times", dir_okay=False)],
) -> None:
    """Ask a bundle about pictures: the JSON that the server answers with."""
    from autotrain_server.answers import to_json
    from autotrain_server.predictor import BundleError, Predictor
    from autotrain_server.preprocess import ImageError

    try:
        predictor = Predictor.load(bundle)
        answers = predictor.predict([path.read_bytes() for path in image])
    except (BundleError, ImageError, OSError) as error:
        console.print(f"{type(error).__name__}: {error}", style="red", markup=False)
        raise typer.Exit(ExitCode.USER_ERROR) from error
    typer.echo(to_json(answers))


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
