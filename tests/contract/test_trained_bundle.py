"""What the trainer leaves is what the server serves: one small run, looked at from both sides."""

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed, Progress, Succeeded, parse_outcome
from autotrain_api.run import RunConfig, dump_run
from autotrain_server.app import create_app
from autotrain_server.engine import OpenVinoEngine, openvino_precisions
from autotrain_server.model import Model
from autotrain_server.onnxruntime_engine import OnnxRuntimeEngine
from autotrain_server.predictor import Predictor
from autotrain_server.preprocess import decode
from autotrain_server.settings import Settings
from autotrain_trainer.__main__ import app
from trained_model import attempt

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment'", "ignore:numpy.core is deprecated"),
]
SHAPES = {"10 bars": "gold", "2 discs": "navy", "rings": "crimson"}
PER_CLASS = 40


def draw(shape: str, number: int) -> Image.Image:
    """A coloured shape at a random place on a noisy ground."""
    random = np.random.default_rng([len(shape), number])
    image = Image.fromarray(random.integers(90, 160, (40, 48, 3), dtype=np.uint8))
    pen, (left, top) = ImageDraw.Draw(image), random.integers(2, 18, 2).tolist()
    box, colour = (left, top, left + 18, top + 18), SHAPES[shape]
    if shape == "10 bars":
        pen.rectangle((left, top, left + 6, top + 20), fill=colour)
    elif shape == "2 discs":
        pen.ellipse(box, fill=colour)
    else:
        pen.ellipse(box, outline=colour, width=3)
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shapes as JPEG and PNG, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("shapes")
    for shape in SHAPES:
        (folder / shape).mkdir()
        for number in range(PER_CLASS):
            draw(shape, number).save(folder / shape / f"{number}.{'png' if number % 2 else 'jpg'}")
    (folder / "rings/broken.png").write_bytes(b"not a picture")
    return folder


def run_of(data: Path, output: Path, **training: object) -> RunConfig:
    recipe = {
        "task": "Classification",
        "data": {"uri": f"file://{data}", "validationFraction": 0.3},
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": 32},
        "augmentation": {"policy": "None"},
        "training": {"epochs": 12, "batchSize": 8, **training},
    }
    uris = {"dataUri": f"file://{data}", "outputUri": f"file://{output}"}
    return RunConfig.model_validate({"name": "shapes", "revision": "v1-0123456789", "recipe": recipe, **uris})


def written(run: RunConfig, folder: Path) -> Path:
    path = folder / "run.yaml"
    path.write_text(dump_run(run))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class Trainer:
    """`autotrain-trainer train` as a process, asked about its progress until it ends."""

    folder: Path
    run: RunConfig

    def __post_init__(self) -> None:
        self.port = free_port()
        self.log = self.folder / "termination-log"
        self.seen: list[Progress] = []
        environment = {"AUTOTRAIN_HOST": "127.0.0.1", "AUTOTRAIN_PORT": str(self.port), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autotrain_trainer", "train", "--config", str(written(self.run, self.folder))],
            env=os.environ | environment | {"AUTOTRAIN_TERMINATION_LOG": str(self.log)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.ended = threading.Event()
        self.training = threading.Event()
        threading.Thread(target=self.poll, daemon=True).start()

    def poll(self) -> None:
        while not self.ended.wait(0.05):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/progress", timeout=1) as answer:
                    self.seen.append(Progress.model_validate(json.load(answer)))
            except OSError:
                continue
            if self.seen[-1].step:
                self.training.set()

    def end(self) -> tuple[int, Succeeded | Failed | None, str]:
        """Exit code, outcome and log."""
        output, _ = self.process.communicate(timeout=120)
        self.ended.set()
        return self.process.returncode, parse_outcome(self.log.read_text()), output


@dataclass
class Trained:
    folder: Path
    outcome: Succeeded
    log: str
    manifest: bundle.Manifest


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    output, log = folder / "models/shapes", io.StringIO()
    with contextlib.redirect_stdout(log):
        outcome, code = attempt(run_of(data, output), folder)
    assert code == ExitCode.OK, outcome
    assert isinstance(outcome, Succeeded)
    return Trained(output, outcome, log.getvalue(), bundle.read_manifest(output))


@pytest.fixture(scope="module")
def predictor(trained: Trained) -> Predictor:
    return Predictor.load(trained.folder, trained.outcome.bundle_sha256, "Float32")


def rows_of(trained: Trained) -> list[dict[str, str]]:
    with (trained.folder / "report/predictions.csv").open() as file:
        return list(csv.DictReader(file))


# --- what a run leaves


def test_the_metric_has_a_size_and_an_interval(trained):
    first = trained.outcome.metrics[0]

    assert first.name == "accuracy"
    assert first.samples == trained.manifest.resolved["pictures"]["validation"] > 20
    assert first.low <= first.value <= first.high
    assert first.value > 0.8


def test_classes_are_in_natural_order(trained):
    assert trained.manifest.classes == ["2 discs", "10 bars", "rings"]


def test_a_damaged_picture_is_named_in_log_manifest_and_model_card(trained):
    card = (trained.folder / "report/model_card.md").read_text()

    assert "1 damaged pictures are left out: rings/broken.png" in trained.log
    assert trained.manifest.resolved["damaged"][0].startswith("rings/broken.png: ")
    assert "rings/broken.png" in card


def test_the_report_has_its_plots(trained):
    names = {path.name for path in (trained.folder / "report").iterdir()}

    assert names == {
        "losses.png",
        "learning_rate.png",
        "confusion_matrix.png",
        "per_class.csv",
        "reliability.png",
        "worst_mistakes.png",
        "predictions.csv",
        "model_card.md",
    }


def test_every_file_may_be_read_by_another_user(trained):
    files = [path for path in trained.folder.rglob("*") if path.is_file()]

    assert all(path.stat().st_mode & 0o444 == 0o444 for path in files)
    assert set(trained.manifest.files) == {path.relative_to(trained.folder).as_posix() for path in files} - {
        bundle.MANIFEST
    }


def test_nothing_is_left_beside_the_bundle(trained):
    assert [path.name for path in trained.folder.parent.iterdir()] == [trained.folder.name]


# --- trainer and server agree


def test_the_server_answers_what_the_trainer_measured(trained, predictor, data):
    rows = rows_of(trained)
    answers = predictor.predict([(data / row["image"]).read_bytes() for row in rows])

    assert [answer.prediction for answer in answers] == [row["prediction"] for row in rows]
    assert [answer.confidence for answer in answers] == pytest.approx([float(r["confidence"]) for r in rows], abs=2e-5)
    hits = sum(answer.prediction == row["label"] for answer, row in zip(answers, rows, strict=True))
    assert hits / len(rows) == pytest.approx(trained.outcome.metrics[0].value)


def test_the_weights_give_the_served_scores_in_torch(trained, predictor, data):
    import torch
    from safetensors.torch import load_file

    from autotrain_trainer.model import build
    from autotrain_trainer.own_functions import OwnFunctions

    network, preprocessing = build(run_of(data, trained.folder), len(SHAPES), trained.folder, str, OwnFunctions())
    network.load_state_dict(load_file(trained.folder / bundle.WEIGHTS))
    images = np.stack([predictor.decode((data / row["image"]).read_bytes()) for row in rows_of(trained)])
    with torch.no_grad():
        wanted = network.eval()(torch.from_numpy(images)).numpy()

    assert preprocessing == trained.manifest.preprocessing
    np.testing.assert_allclose(predictor.scores(images), wanted, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16, 64])
def test_another_runtime_gives_the_same_scores_in_every_precision_and_batch(trained, data, batch):
    able = openvino_precisions() & {"Float32", "BFloat16"}
    tolerances = {"Float32": bundle.GOLDEN_TOLERANCE} | {r.precision: r.tolerance for r in trained.manifest.precisions}
    model = trained.folder / bundle.MODEL
    paths = sorted((data / "10 bars").iterdir()) + sorted((data / "2 discs").iterdir())
    images = np.stack([decode(path.read_bytes(), trained.manifest.preprocessing) for path in paths[:64]])
    parts = [images[start : start + batch] for start in range(0, 64, batch)]

    oracle = OnnxRuntimeEngine(model)
    wanted = np.concatenate([oracle.scores(part) for part in parts])
    for precision in able:
        engine = OpenVinoEngine(model, precision)
        scores = np.concatenate([engine.scores(part) for part in parts])
        assert np.abs(scores - wanted).max() <= tolerances[precision] * np.abs(wanted).max(), precision


def test_what_a_lower_precision_costs_is_measured_on_all_there_is(trained):
    record, eight_bits = trained.manifest.precisions
    able = "BFloat16" in openvino_precisions()

    assert (record.precision, record.engine) == ("BFloat16", "openvino")
    assert record.samples == (3 * PER_CLASS if able else 0)
    assert record.passed == able, record.reason
    assert (eight_bits.precision, eight_bits.samples) == ("Int8", 3 * PER_CLASS)
    assert (bundle.MODEL_INT8 in trained.manifest.files) == eight_bits.passed
    assert not able or record.metric.low <= record.metric.value <= record.metric.high
    assert (
        f"- BFloat16 with openvino: {'passed' if able else 'not served'}, "
        in (trained.folder / "report/model_card.md").read_text()
    )


def test_the_server_takes_the_precision_that_was_measured_where_its_processor_has_it(trained, predictor, data):
    able = "BFloat16" in openvino_precisions()
    pictures = [path.read_bytes() for path in sorted((data / "rings").glob("*.jpg"))]

    chosen = Predictor.load(trained.folder)

    assert chosen.engine.precision == ("BFloat16" if able else "Float32")
    assert bool(chosen.precision_note) != able
    answers, exact = chosen.predict(pictures), predictor.predict(pictures)
    assert [answer.prediction for answer in answers] == [answer.prediction for answer in exact]


@pytest.mark.parametrize("names", [["rings/0.jpg"], ["rings/0.jpg", "2 discs/1.png"]], ids=["one", "two"])
async def test_the_command_line_prints_what_the_server_answers(trained, data, names):
    pictures = [data / name for name in names]
    arguments = [part for picture in pictures for part in ("--image", str(picture))]

    printed = CliRunner().invoke(app, ["validate", "--bundle", str(trained.folder), *arguments]).stdout

    model = Model(trained.folder, trained.outcome.bundle_sha256)
    model.start()
    model.wait()
    transport = httpx.ASGITransport(create_app(Settings(bundle=str(trained.folder)), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = await client.post("/validate", files=[("img", picture.read_bytes()) for picture in pictures])
    assert json.loads(printed) == answer.json()


# --- further runs


def test_a_finished_revision_is_found_and_not_trained_again(trained, data, tmp_path):
    outcome, code = attempt(run_of(data, trained.folder), tmp_path)

    assert code == ExitCode.OK
    assert outcome.found
    assert outcome.bundle_sha256 == trained.outcome.bundle_sha256


def test_the_same_seed_gives_the_same_model(trained, data, tmp_path):
    attempt(run_of(data, tmp_path / "again"), tmp_path)
    again = bundle.read_manifest(tmp_path / "again")

    assert again.files[bundle.WEIGHTS] == trained.manifest.files[bundle.WEIGHTS]
    assert again.metrics == trained.manifest.metrics


def test_a_run_tells_its_progress_and_sigterm_ends_it_at_once(data, tmp_path):
    process = Trainer(tmp_path, run_of(data, tmp_path / "models/shapes", epochs=10_000, learningRate=0.001))
    assert process.training.wait(120)

    process.process.send_signal(signal.SIGTERM)
    code, outcome, _ = process.end()

    assert code == 128 + signal.SIGTERM
    assert (outcome.stage, outcome.reason) == (Stage.TRAINING, Reason.TERMINATED)
    assert (process.seen[-1].epochs, process.seen[-1].message) == (10_000, "training: epoch 1 of 10000")
    assert process.seen[-1].samples_per_second
    assert not (tmp_path / "models/shapes").exists()


def test_what_an_earlier_attempt_decided_is_kept_and_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    decided = {"batch_size": 8, "precision": "Float32", "learning_rate": 1e38, "threads": 1, "seed": 17}
    (tmp_path / ".shapes.work").mkdir()
    (tmp_path / ".shapes.work/resolved.json").write_text(json.dumps(decided))

    outcome, code = attempt(run_of(data, tmp_path / "shapes"), tmp_path)

    assert (outcome.reason, code) == (Reason.TRAINING_DIVERGED, ExitCode.USER_ERROR)
    assert json.loads((tmp_path / ".shapes.work/resolved.json").read_text()) == decided


@pytest.mark.parametrize(
    ("change", "stage", "reason"),
    [
        ({"backbone": "resnet81"}, Stage.MODEL, Reason.MODEL_INVALID),
        ({"backbone": "test_vit", "imageSize": 33}, Stage.MODEL, Reason.MODEL_INVALID),
    ],
    ids=["unknown", "a size that it cannot take"],
)
def test_a_model_that_cannot_be_built_is_the_user_s_error(data, tmp_path, change, stage, reason):
    run = run_of(data, tmp_path / "shapes").to_dict()
    run["recipe"]["model"] |= change

    outcome, code = attempt(RunConfig.model_validate(run), tmp_path)

    assert (outcome.stage, outcome.reason, code) == (stage, reason, ExitCode.USER_ERROR)
    assert change["backbone"] in outcome.message


def test_the_head_learns_alone_in_the_frozen_epochs(data, tmp_path):
    import torch

    from autotrain_trainer.fit import train
    from autotrain_trainer.progress import ProgressBoard
    from autotrain_trainer.recipes import classification

    run = run_of(data, tmp_path / "shapes", epochs=1, freezeEpochs=2, learningRate=0.01)
    ready = classification.prepare(run, ProgressBoard(), tmp_path)
    pretrained = run.model_copy(
        update={
            "recipe": run.recipe.model_copy(update={"model": run.recipe.model.model_copy(update={"pretrained": True})})
        }
    )
    stem = ready.network.backbone.conv1[0].weight
    moved: list[bool] = []

    class Board(ProgressBoard):
        before = stem.detach().clone()

        def epoch_done(self, text: str) -> None:
            moved.append(not torch.equal(self.before, stem))

    history = train(ready, pretrained, 8, Board(), tmp_path, lambda: None)

    assert moved == [False, False, True]
    assert len(history.epochs) == 3
    assert history.finder is None


def test_check_tries_everything_but_the_training(data, tmp_path):
    result = CliRunner().invoke(app, ["check", "--config", str(written(run_of(data, tmp_path / "out"), tmp_path))])

    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out").exists()


def test_a_wrong_config_ends_with_65_and_names_the_field(data, tmp_path):
    run = run_of(data, tmp_path).to_dict()
    run["recipe"]["training"]["epochs"] = 0
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    command = [sys.executable, "-m", "autotrain_trainer", "train", "--config", str(tmp_path / "run.yaml")]

    code = subprocess.run([*command, "--termination-log", str(tmp_path / "log")], capture_output=True).returncode
    outcome = parse_outcome((tmp_path / "log").read_text())

    assert code == ExitCode.USER_ERROR
    assert (outcome.stage, outcome.reason) == (Stage.CONFIG, Reason.INVALID_SPEC)
    assert "recipe.training.epochs" in outcome.message


@pytest.mark.parametrize("name", ["a$\\frac{$", "b$^$", "two\nlines", "<b>"])
def test_a_class_of_any_name_is_plotted(tmp_path, name):
    from autotrain_trainer.label_report import plot_confusion

    plot_confusion(tmp_path / "plot.png", np.eye(2, dtype=int), [name, "other"])

    assert (tmp_path / "plot.png").stat().st_size
