import errno
import json
import subprocess
import sys
import urllib.request
from urllib.error import HTTPError

import pytest

from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Progress, dump_outcome, parse_outcome
from autotrain_trainer.__main__ import attempt
from autotrain_trainer.failures import HINTS, RunError, Terminated, translate
from autotrain_trainer.progress import ProgressBoard, serve


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (MemoryError(), Reason.OUT_OF_MEMORY, 75),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Reason.OUT_OF_MEMORY, 75),
        (RuntimeError("CUDA out of memory. Tried to allocate"), Reason.OUT_OF_MEMORY, 75),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Reason.OUT_OF_MEMORY, 75),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.OUTPUT_NOT_WRITABLE, 65),
        (Terminated(), Reason.TERMINATED, 143),
        (ZeroDivisionError("division by zero"), Reason.CRASHED, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_foreign_errors_get_a_reason_and_an_exit_code(error, reason, code):
    problem = translate(error, Stage.TRAINING, 32)

    assert (problem.reason, problem.exit_code) == (reason, code)
    assert problem.outcome().micro_batch_size == (32 if code == ExitCode.OUT_OF_MEMORY else None)


@pytest.mark.parametrize("reason", HINTS)
def test_every_foreseen_failure_survives_the_termination_message(reason):
    problem = RunError(Stage.DATA, reason, "ä" * 10_000)

    told = parse_outcome(dump_outcome(problem.outcome()))

    assert len(dump_outcome(problem.outcome()).encode()) <= 3_500
    assert (told.stage, told.reason, told.hint) == (Stage.DATA, reason, HINTS[reason])


@pytest.fixture
def board(monkeypatch) -> ProgressBoard:
    monkeypatch.setenv("AUTOTRAIN_HOST", "127.0.0.1")
    monkeypatch.setenv("AUTOTRAIN_PORT", "0")
    return ProgressBoard()


def test_progress_is_served_while_the_run_goes_on(board):
    server = serve(board)
    board.begin(epochs=2, steps=40)
    board.step(epoch=1, step=20, samples=64)

    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/progress") as answer:
        told = Progress.model_validate(json.load(answer))
    with pytest.raises(HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/other")
    server.shutdown()
    server.server_close()

    assert (told.epoch, told.epochs, told.step, told.steps) == (1, 2, 20, 40)
    assert 5 < told.percent < 90
    assert told.samples_per_second > 0
    assert told.remaining_seconds is not None


@pytest.mark.parametrize(("variable", "value"), [("PORT", "none"), ("HOST", "192.0.2.1")])
def test_a_run_goes_on_where_progress_cannot_be_served(board, monkeypatch, variable, value):
    monkeypatch.setenv(f"AUTOTRAIN_{variable}", value)

    assert serve(board) is None


def test_per_cent_never_goes_back(board):
    told = []
    board.say("opening data", percent=0)
    board.begin(epochs=3, steps=30)
    for step in range(1, 31):
        board.step(epoch=1 + step // 10, step=step, samples=1)
        told.append(board.current.percent)
    board.say("done", percent=100)

    assert told == sorted(told)
    assert told[-1] == 90


def test_a_message_with_bytes_that_are_not_utf8_survives_the_termination_message():
    outcome = RunError(Stage.DATA, Reason.DATA_DAMAGED, "caf\udce9.png is damaged").outcome()

    assert parse_outcome(dump_outcome(outcome)) == outcome
    assert outcome.message == "caf\\udce9.png is damaged"


def test_what_fails_before_training_does_not_wait_for_torch():
    code = "import sys, autotrain_trainer.__main__; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_changes_an_outcome_once_it_is_settled(tmp_path):
    told = []

    outcome, code = attempt(tmp_path / "absent.yaml", lambda: told.append("settled"))

    assert told == ["settled"]
    assert (outcome.reason, code) == (Reason.INVALID_SPEC, ExitCode.USER_ERROR)


def test_a_place_for_work_that_is_not_there_has_an_outcome(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))

    outcome, code = attempt(tmp_path / "run.yaml")

    assert "absent" in outcome.message
    assert code == 1
