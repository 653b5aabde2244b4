"""MultiLabelClassification from a table to answers over HTTP: one small run, looked at from both sides."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed, Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.predictor import Predictor
from autotrain_server.tasks.multilabel import sigmoid
from autotrain_trainer import __main__ as trainer
from autotrain_trainer.label_set_measure import per_class, value_of
from server_client import serving
from trained_model import attempt

pytestmark = pytest.mark.torch
PICTURES = 90
COLOURS = {"bar": "navy", "disc": "gold", "ring": "crimson"}
CLASSES = list(COLOURS)


def scene(number: int) -> tuple[Image.Image, list[str]]:
    """A noisy ground with each of the shapes or not, at places of their own."""
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(90, 160, (40, 48, 3), dtype=np.uint8))
    labels = [name for name in CLASSES if random.random() < 0.5]
    pen = ImageDraw.Draw(image)
    for name in labels:
        left, top = random.integers(1, 30), random.integers(1, 24)
        box, colour = (left, top, left + 14, top + 14), COLOURS[name]
        if name == "bar":
            pen.rectangle(box, fill=colour)
        elif name == "disc":
            pen.ellipse(box, fill=colour)
        else:
            pen.ellipse(box, outline=colour, width=4)
    return image, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    with (folder / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "labels"])
        for number in range(PICTURES):
            image, labels = scene(number)
            image.save(folder / f"{number}.png")
            table.writerow([f"{number}.png", " ".join(labels)])
    return folder


def run_of(data: Path, output: Path, **training: object) -> RunConfig:
    recipe = {
        "task": "MultiLabelClassification",
        "data": {"uri": f"file://{data}", "validationFraction": 0.25, "testFraction": 0.25},
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": 32},
        "augmentation": {"policy": "None"},
        "training": {"epochs": 25, "batchSize": 8, "learningRate": 0.01, **training},
    }
    uris = {"dataUri": f"file://{data}", "outputUri": f"file://{output}"}
    return RunConfig.model_validate({"name": "sets", "revision": "v1-0123456789", "recipe": recipe, **uris})


@dataclass
class Trained:
    folder: Path
    outcome: Succeeded
    manifest: bundle.Manifest
    predictor: Predictor

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / "report" / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("label_sets")
    outcome, code = attempt(run_of(data, folder / "sets"), folder)
    assert code == ExitCode.OK, outcome
    assert isinstance(outcome, Succeeded)
    predictor = Predictor.load(folder / "sets", outcome.bundle_sha256, "Float32")
    return Trained(folder / "sets", outcome, bundle.read_manifest(folder / "sets"), predictor)


def test_the_bundle_holds_what_a_server_needs_and_what_a_person_wants(trained):
    manifest = trained.manifest

    assert (manifest.task, manifest.classes) == ("MultiLabelClassification", CLASSES)
    assert [metric.name for metric in manifest.metrics] == ["mAP", "macroF1"]
    assert manifest.metrics[0].value > 0.7
    assert manifest.metrics[0].samples == manifest.resolved["pictures"]["test"]
    assert {record.precision for record in manifest.precisions} == {"BFloat16", "Int8"}
    assert manifest.resolved["float32_difference"] <= 1e-4
    assert {"classes.png", "worst_mistakes.png", "reliability.png", "losses.png"} <= {
        Path(name).name for name in manifest.files
    }
    card = (trained.folder / "report/model_card.md").read_text()
    assert "| class | average precision | precision | recall | f1 | support |" in card
    assert "a temperature of" in card


def answered(trained: Trained, data: Path, rows: list[dict[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the served graph for the bytes of pictures, and the truth."""
    images = np.stack([trained.predictor.decode((data / row["image"]).read_bytes()) for row in rows])
    truth = [[name in row["labels"].split(", ") for name in CLASSES] for row in rows]
    return trained.predictor.scores(images), np.array(truth, np.uint8)


def test_what_is_published_is_what_is_served(trained, data):
    rows = trained.rows("predictions.csv")
    logits, truth = answered(trained, data, rows)

    assert value_of("mAP", logits, truth) == pytest.approx(trained.manifest.metrics[0].value, abs=1e-6)
    found = per_class(logits, truth)
    for row, name, f1, precision in zip(
        trained.rows("per_class.csv"), CLASSES, found.f1, found.average_precision, strict=True
    ):
        assert (row["class"], float(row["f1"])) == (name, pytest.approx(f1, abs=1e-5))
        assert float(row["average precision"]) == pytest.approx(precision, abs=1e-5)
    shown = np.array([[float(row[name]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(shown, sigmoid(logits / trained.manifest.resolved["temperature"]), atol=1e-5)


def test_torch_and_the_bundle_say_the_same_of_every_picture(trained, data):
    import torch
    from safetensors.torch import load_file

    from autotrain_trainer.model import build
    from autotrain_trainer.own_functions import OwnFunctions

    network, _ = build(run_of(data, trained.folder), len(CLASSES), trained.folder, str, OwnFunctions())
    network.load_state_dict(load_file(trained.folder / bundle.WEIGHTS))
    images = np.stack([trained.predictor.decode((data / f"{number}.png").read_bytes()) for number in range(PICTURES)])
    with torch.no_grad():
        wanted = network.eval()(torch.from_numpy(images)).numpy()

    np.testing.assert_allclose(trained.predictor.scores(images), wanted, atol=1e-4)


def test_golden_scores_are_the_raw_logits_and_every_label_is_among_them(trained):
    inputs, scores = (np.load(trained.folder / name) for name in (bundle.GOLDEN_INPUTS, bundle.GOLDEN_SCORES))

    np.testing.assert_allclose(trained.predictor.scores(inputs), scores, atol=1e-4)
    labels = {label for sample in trained.manifest.golden for label in sample.label.split(", ")}
    assert set(CLASSES) <= labels


@pytest.fixture
async def client(trained: Trained):
    async with serving(trained.folder, trained.outcome.bundle_sha256) as asking:
        yield asking


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("path", ["/validate", "/classification/validate/"])
async def test_every_label_of_a_picture_is_answered_the_likeliest_first(client, path):
    right, shown = 0, 40
    for number in range(1_000, 1_000 + shown):
        image, labels = scene(number)
        answer = (await client.post(path, files={"img": encoded(image)})).json()
        confidences = [one["confidence"] for one in answer["predictions"]]
        assert confidences == sorted(confidences, reverse=True)
        assert all(confidence >= 0.5 for confidence in confidences)
        assert len(answer["top"]) == len(CLASSES)
        right += sum((name in labels) == (name in {one["label"] for one in answer["predictions"]}) for name in CLASSES)

    assert right / (shown * len(CLASSES)) > 0.75


async def test_the_command_line_says_the_same(client, trained, data):
    from typer.testing import CliRunner

    said = CliRunner().invoke(
        trainer.app, ["validate", "--bundle", str(trained.folder), "--image", str(data / "1.png")]
    )

    answer = await client.post(
        "/validate", content=(data / "1.png").read_bytes(), headers={"content-type": "image/png"}
    )
    [said_labels, answered_labels] = [
        [one["label"] for one in body["predictions"]] for body in (json.loads(said.stdout), answer.json())
    ]
    assert said_labels == answered_labels


BAD = {
    "a class that is only beside the training part": (
        {"train.csv": "image,labels\n0.png,a\n1.png,b\n", "validation.csv": "image,labels\n2.png,a c\n"},
        Reason.DATA_LAYOUT_INVALID,
        "c (only 2.png)",
    ),
    "the same labels everywhere": (
        {"train.csv": "image,labels\n0.png,a b\n1.png,a b\n", "validation.csv": "image,labels\n2.png,a\n"},
        Reason.DATA_ONE_CLASS,
        "have the same labels",
    ),
    "a mark that is none": (
        {"train.csv": "image,a,b\n0.png,1,0\n1.png,yes,1\n"},
        Reason.DATA_LAYOUT_INVALID,
        "train.csv, line 3: column 'a' is 'yes'",
    ),
    "a row with too many cells": (
        {"train.csv": "image,labels\n0.png,a,b\n"},
        Reason.DATA_LAYOUT_INVALID,
        "train.csv, line 2 has more than the 2 cells",
    ),
}


@pytest.mark.parametrize(("tables", "reason", "words"), BAD.values(), ids=BAD)
def test_a_table_that_cannot_be_learned_from_is_told_with_its_place(tmp_path, tables, reason, words):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        scene(number)[0].save(folder / f"{number}.png")
    for name, text in tables.items():
        (folder / name).write_text(text)
    run = run_of(folder, tmp_path / "out").to_dict()
    del run["recipe"]["data"]["testFraction"]

    outcome, code = attempt(RunConfig.model_validate(run), tmp_path)

    assert isinstance(outcome, Failed)
    assert (outcome.stage, outcome.reason, code) == (Stage.DATA, reason, ExitCode.USER_ERROR)
    assert words in outcome.message
