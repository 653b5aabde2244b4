"""Segmentation from masks to answers over HTTP: one small run, looked at from both sides."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed
from autotrain_api.run import RunConfig
from autotrain_server.predictor import Predictor
from server_client import serving
from trained_model import attempt, encoded, turned

pytestmark = pytest.mark.torch
PICTURES = 60
CLASSES = ["background", "disc", "bar"]


def scene(number: int, width: int = 60, height: int = 40) -> tuple[Image.Image, Image.Image]:
    """A bright disc on the left and a dark bar on the right, and their mask."""
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(110, 146, (height, width, 3), dtype=np.uint8))
    mask = Image.new("L", (width, height))
    left, top = random.integers(2, width // 2 - 16), random.integers(2, height - 18)
    right, above = random.integers(width // 2 + 2, width - 12), random.integers(2, height - 18)
    for target, disc, bar in ((image, "gold", "navy"), (mask, 1, 2)):
        pen = ImageDraw.Draw(target)
        pen.ellipse((left, top, left + 14, top + 14), fill=disc)
        pen.rectangle((right, above, right + 8, above + 16), fill=bar)
    return image, mask


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    for number in range(PICTURES):
        image, mask = scene(number)
        image.save(folder / f"images/{number}.png")
        mask.save(folder / f"masks/{number}.png")
    return folder


def run_of(data: Path, output: Path, **model: object) -> RunConfig:
    recipe = {
        "task": "Segmentation",
        "data": {"uri": f"file://{data}", "validationFraction": 0.3},
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": 64, "decoder": "FPN", **model},
        "training": {"epochs": 6, "batchSize": 8, "learningRate": 0.005},
    }
    uris = {"dataUri": f"file://{data}", "outputUri": f"file://{output}"}
    return RunConfig.model_validate({"name": "scenes", "revision": "v1-0123456789", "recipe": recipe, **uris})


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segmenter")
    outcome, code = attempt(run_of(data, folder / "scenes"), folder)
    assert code == ExitCode.OK, outcome
    return folder / "scenes"


def test_the_bundle_holds_what_a_server_needs_and_what_a_person_wants(trained):
    manifest = bundle.read_manifest(trained)

    assert (manifest.task, manifest.classes) == ("Segmentation", CLASSES)
    assert [metric.name for metric in manifest.metrics] == ["mIoU", "foregroundIoU"]
    assert manifest.metrics[0].value > 0.5
    assert {sample.label for sample in manifest.golden} == {"disc, bar"}
    assert {record.precision for record in manifest.precisions} == {"BFloat16", "Int8"}
    for name in ("losses.png", "classes.png", "masks.png", "per_class.csv", "model_card.md"):
        assert f"report/{name}" in manifest.files
    rows = list(csv.DictReader((trained / "report/per_class.csv").open()))
    assert [row["class"] for row in rows] == CLASSES[1:]
    assert manifest.resolved["float32_difference"] <= 1e-4


def test_the_published_metric_is_that_of_what_is_answered(data, trained):
    """Pictures as bytes through the predictor, masks at their own size: the same IoU, but for the pixels at edges."""
    predictor = Predictor.load(trained)
    shared = either = 0
    for number in range(PICTURES):
        content = (data / f"images/{number}.png").read_bytes()
        found = mask_of(predictor.predict([content])[0].mask) > 0
        true = np.asarray(Image.open(data / f"masks/{number}.png")) > 0
        shared, either = shared + (found & true).sum(), either + (found | true).sum()

    published = next(m.value for m in predictor.manifest.metrics if m.name == "foregroundIoU")
    assert shared / either == pytest.approx(published, abs=0.1)


def mask_of(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.fixture
async def client(trained: Path):
    async with serving(trained) as asking:
        yield asking


@pytest.mark.parametrize("path", ["/validate", "/segmentation/validate/", "/segmentation/validate"])
@pytest.mark.parametrize("upright", [True, False], ids=["upright", "turned"])
async def test_answers_are_in_the_pixels_of_the_upload(client, path, upright):
    image, mask = (layer.resize((300, 200), Image.Resampling.NEAREST) for layer in scene(1_000))
    body = encoded(image, quality=95) if upright else turned(image)

    answer = (await client.post(path, content=body, headers={"content-type": "image/jpeg"})).json()

    assert (answer["width"], answer["height"]) == (300, 200)
    found, true = mask_of(answer["mask"]), np.asarray(mask)
    assert found.shape == (200, 300)
    assert ((found > 0) & (true > 0)).sum() / ((found > 0) | (true > 0)).sum() > 0.5
    for one in answer["classes"]:
        assert one["pixels"] == (found == CLASSES.index(one["label"])).sum()
        assert sum(one["rle"]["counts"][1::2]) == one["pixels"]


async def test_the_drawn_picture_is_the_upload_with_colours(client):
    image, _ = scene(1_001, 90, 70)
    files = {"img": ("a.png", encoded(image, "PNG"), "image/png")}

    drawn = await client.post("/validate?annotated=true", files=files)

    assert drawn.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(drawn.content))
    assert shown.size == (90, 70)
    assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - np.asarray(image)).max() > 40


async def test_another_task_s_path_says_where_to_ask(client):
    refused = await client.post("/classification/validate/", content=encoded(scene(1)[0]))

    assert refused.status_code == 404
    assert (
        "this model does Segmentation; ask /validate or /segmentation/validate/" in refused.json()["error"]["message"]
    )


async def test_the_protocol_answers_with_masks(client):
    text = base64.b64encode(encoded(scene(1_002)[0])).decode()
    asked = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}]}

    body = (await client.post("/v2/models/scenes/infer", json=asked)).json()

    outputs = {output["name"]: output for output in body["outputs"]}
    assert mask_of(outputs["mask"]["data"][0]).shape == (40, 60)
    assert json.loads(outputs["answer"]["data"][0])["mask"] == outputs["mask"]["data"][0]


BAD = {
    "a size that decoders do not take": ({"imageSize": 60}, Reason.INVALID_SPEC, "take 32 or 64"),
    "a backbone without features": ({"backbone": "vit_tiny_patch16_224"}, Reason.MODEL_INVALID, "vit_tiny_patch16_224"),
}


@pytest.mark.parametrize(("model", "reason", "words"), BAD.values(), ids=BAD)
def test_a_model_that_cannot_segment_is_told_before_anything_is_trained(data, tmp_path, model, reason, words):
    outcome, code = attempt(run_of(data, tmp_path / "out", **model), tmp_path)

    assert isinstance(outcome, Failed)
    assert (outcome.stage, outcome.reason, code) == (Stage.MODEL, reason, ExitCode.USER_ERROR)
    assert words in outcome.message
