"""The job's own functions on the trainer's side: opened once, tried as they will serve, and given to the recipe."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.functions import Change, Functions, picture_function, preprocessor, read_functions
from autotrain_server.tasks import TASKS, Scores, Seen
from autotrain_server.trying import Trial
from autotrain_trainer.failures import RunError

TRIAL_SECONDS = 300


@dataclass(frozen=True)
class OwnFunctions:
    """Both are None when the run has no functions; a field that names one is refused by the API then."""

    training: Functions | None = None
    serving: Functions | None = None

    def change(self, preprocessing: ResolvedPreprocessing) -> Change | None:
        """spec.preprocessing.function, for pictures of any size. Raises FunctionError."""
        if not preprocessing.function or self.serving is None:
            return None
        return preprocessor(self.serving, preprocessing.function, preprocessing.height, preprocessing.width)

    def augmentation(self, run: RunConfig, preprocessing: ResolvedPreprocessing) -> Change | None:
        """spec.augmentation.function, for pictures as the network takes them. Raises FunctionError."""
        name = run.recipe.augmentation.function
        if name is None or self.training is None:
            return None
        size = preprocessing.height
        return picture_function(self.training.find("augmentation", name, {}, {"image_size": size, "size": size}))


def open_functions(run: RunConfig) -> OwnFunctions:
    """The functions of a run. Raises FunctionError."""
    if run.functions_file is None:
        return OwnFunctions()
    training = read_functions(Path(run.functions_file))
    other = run.serving_functions_file
    return OwnFunctions(training, read_functions(Path(other)) if other else training)


def serving_source(run: RunConfig) -> str:
    """The text of the functions that serve, for the bundle; "" when there are none."""
    path = run.serving_functions_file or run.functions_file
    return Path(path).read_text(encoding="utf-8") if path else ""


def try_serving(run: RunConfig, classes: Sequence[str], preprocessing: ResolvedPreprocessing, scores: Scores) -> None:
    """Call what serves where only the server's libraries are; `scores` [n, ...] are those of the untrained model.

    Raises RunError.
    """
    if not preprocessing.function and run.serving_function is None:
        return
    path = Path(run.serving_functions_file or run.functions_file or "")
    seen = Seen(np.asarray(scores[0]), preprocessing.width, preprocessing.height)
    answer = TASKS[run.recipe.task](classes, preprocessing, {}).answer(seen, Postprocessing())
    trial = Trial(
        source=serving_source(run),
        file=path.name,
        height=preprocessing.height,
        width=preprocessing.width,
        preprocess=preprocessing.function,
        postprocess=run.serving_function,
        answer=answer.model_dump(mode="json"),
    )
    command = [sys.executable, "-m", "autotrain_server.trying"]
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter
            command, input=trial.model_dump_json(), capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"{path.name} was not done within {TRIAL_SECONDS} s") from error
    try:
        problem = json.loads(done.stdout)["error"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        problem = f"{path.name} ended its process with exit code {done.returncode}: {last}"
    if problem:
        raise _failed(f"what serves fails where only the server's libraries are: {problem}")


def _failed(message: str) -> RunError:
    return RunError(Stage.EXPORT, Reason.FUNCTION_FAILED, message)
