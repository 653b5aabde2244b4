"""Detection from annotated boxes to answers over HTTP: one small run, looked at from both sides."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file

from autotrain_api import bundle
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed
from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.predictor import Predictor
from autotrain_server.tasks import Scores
from autotrain_server.tasks.boxes import MOST_BOXES, Boxes
from autotrain_server.tasks.detection import in_picture
from autotrain_trainer.box_metrics import COUNTED_SCORE, METRICS, Known, counted, match, metric_of
from autotrain_trainer.models.detector import build
from server_client import serving
from trained_model import attempt, encoded, turned

pytestmark = pytest.mark.torch
TRAINING, VALIDATION = 120, 40
CLASSES = ["bar", "disc"]
CATEGORIES = {"disc": 90, "bar": 7}
EMPTY = 8
"""Every so many pictures show nothing."""


def scene(number: int, width: int = 60, height: int = 40) -> tuple[Image.Image, dict[str, tuple[int, int, int, int]]]:
    """A bright disc on the left and a dark bar on the right, and their boxes; or nothing."""
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(110, 146, (height, width, 3), dtype=np.uint8))
    if number % EMPTY == 0:
        return image, {}
    left, top = random.integers(2, width // 2 - 16), random.integers(2, height - 18)
    right, above = random.integers(width // 2 + 2, width - 12), random.integers(2, height - 18)
    boxes = {"disc": (left, top, left + 15, top + 15), "bar": (right, above, right + 9, above + 17)}
    pen = ImageDraw.Draw(image)
    pen.ellipse((left, top, left + 14, top + 14), fill="gold")
    pen.rectangle((right, above, right + 8, above + 16), fill="navy")
    return image, {name: tuple(int(value) for value in box) for name, box in boxes.items()}  # type: ignore[misc]


def write_part(folder: Path, part: str, numbers: range) -> None:
    images, annotations = [], list[dict[str, Any]]()
    (folder / part).mkdir()
    for number in numbers:
        image, boxes = scene(number)
        image.save(folder / part / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
        for name, (x0, y0, x1, y1) in boxes.items():
            entry = {"image_id": number, "category_id": CATEGORIES[name], "bbox": [x0, y0, x1 - x0, y1 - y0]}
            annotations.append(entry | {"id": len(annotations) + 1, "iscrowd": 0, "area": (x1 - x0) * (y1 - y0)})
    categories = [{"id": key, "name": name} for name, key in CATEGORIES.items()]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{part}.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_part(folder, "train", range(TRAINING))
    write_part(folder, "validation", range(TRAINING, TRAINING + VALIDATION))
    return folder


def run_of(data: Path, output: Path, **model: object) -> RunConfig:
    recipe = {
        "task": "ObjectDetection",
        "data": {"uri": f"file://{data}"},
        "model": {"backbone": "test_resnet", "pretrained": False, "imageSize": 64, **model},
        "training": {"epochs": 7, "batchSize": 8, "learningRate": 0.005},
    }
    uris = {"dataUri": f"file://{data}", "outputUri": f"file://{output}"}
    return RunConfig.model_validate(
        {"name": "scenes", "revision": "v1-0123456789", "metric": "mAP", "recipe": recipe, **uris}
    )


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    outcome, code = attempt(run_of(data, folder / "scenes"), folder)
    assert code == ExitCode.OK, outcome
    return folder / "scenes"


def test_the_bundle_holds_what_a_server_needs_and_what_a_person_wants(trained):
    manifest = bundle.read_manifest(trained)

    assert (manifest.task, manifest.classes) == ("ObjectDetection", CLASSES)
    assert [metric.name for metric in manifest.metrics] == ["mAP", "mAP50"]
    assert manifest.metrics[1].value > 0.9
    assert {sample.label for sample in manifest.golden} == {"bar, disc", ""}
    assert {record.precision for record in manifest.precisions} == {"BFloat16", "Int8"}
    for name in ("losses.png", "sample_detections.png", "precision_recall.png", "predictions.csv", "model_card.md"):
        assert f"report/{name}" in manifest.files
    rows = list(csv.DictReader((trained / "report/predictions.csv").open()))
    assert {row["label"] for row in rows} == set(CLASSES)
    shown = (VALIDATION * (EMPTY - 1)) // EMPTY
    table = list(csv.DictReader((trained / "report/per_class.csv").open()))
    assert [(row["class"], int(row["support"])) for row in table] == [(name, shown) for name in CLASSES]
    assert "| bar |" in (trained / "report/model_card.md").read_text()
    assert manifest.resolved["float32_difference"] <= 1e-4


# --- what is published is what is served


@pytest.fixture(scope="module")
def seen(data: Path, trained: Path) -> tuple[Predictor, np.ndarray, Scores]:
    """The Float32 predictor, every validation picture as it reads it, and its scores."""
    predictor = Predictor.load(trained, precision="Float32")
    names = range(TRAINING, TRAINING + VALIDATION)
    pixels = np.stack([predictor.decode((data / f"validation/{name}.png").read_bytes()) for name in names])
    return predictor, pixels, predictor.scores(pixels)


def test_torch_and_the_predictor_give_the_same_scores_and_the_same_metric(data, trained, seen, tmp_path):
    predictor, pixels, served = seen
    network, _ = build(run_of(data, tmp_path), len(CLASSES), tmp_path, print)
    network.load_state_dict(load_file(trained / bundle.WEIGHTS))
    with torch.no_grad():
        wanted = network.eval()(torch.from_numpy(pixels)).numpy()

    assert np.abs(served - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
    assert metrics_of(served, predictor) == metrics_of(wanted, predictor)


def test_the_published_metrics_are_those_of_the_pictures_through_the_predictor(seen):
    predictor, _, served = seen

    published = {metric.name: metric.value for metric in predictor.manifest.metrics}
    assert metrics_of(served, predictor) == pytest.approx(published)


def test_the_published_metrics_are_pycocotools_own(data, seen):
    predictor, _, served = seen
    truth = COCO(str(data / "validation.json"))
    entries = [
        {
            "image_id": TRAINING + position,
            "category_id": CATEGORIES[CLASSES[label]],
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": score,
        }
        for position, one in enumerate(placed(served, predictor))
        for box, score, label in zip(one.corners.tolist(), one.scores.tolist(), one.labels.tolist(), strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(entries), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()

    published = {metric.name: metric.value for metric in predictor.manifest.metrics}
    assert {"mAP": evaluation.stats[0], "mAP50": evaluation.stats[1]} == pytest.approx(published)


def placed(scores: Scores, predictor: Predictor) -> list[Boxes]:
    """Every box that is counted, in pixels of the pictures."""
    how = predictor.manifest.preprocessing
    found = [counted(row, how.height, how.width) for row in scores]
    return [in_picture(one, 60, 40, how) for one in found]


def metrics_of(scores: Scores, predictor: Predictor) -> dict[str, float]:
    known = []
    for number in range(TRAINING, TRAINING + VALIDATION):
        boxes = scene(number)[1]
        corners = np.array(list(boxes.values()), np.float64).reshape(-1, 4)
        known.append(Known(corners, np.array([CLASSES.index(name) for name in boxes], np.int64)))
    matches = match(placed(scores, predictor), known, len(CLASSES))
    return {name: metric_of(name, matches) for name in METRICS}


def test_a_picture_is_answered_as_it_was_measured(data, seen):
    predictor, _, served = seen
    content = [(data / f"validation/{TRAINING + position}.png").read_bytes() for position in range(8)]

    answers = predictor.predict(content, Postprocessing(score_threshold=COUNTED_SCORE))

    for answer, measured in zip(answers, placed(served, predictor), strict=False):
        found = [box.box for box in answer.boxes][: len(measured.scores)]
        assert found == measured.corners.round(2).astype(float).round(2).tolist()


# --- over HTTP


@pytest.fixture
async def client(trained: Path):
    async with serving(trained) as asking:
        yield asking


def large(number: int) -> tuple[Image.Image, dict[str, np.ndarray]]:
    """Five times the size of the training pictures."""
    image, boxes = scene(number)
    return image.resize((300, 200), Image.Resampling.NEAREST), {name: 5 * np.array(box) for name, box in boxes.items()}


@pytest.mark.parametrize("path", ["/validate", "/object_detection/validate/", "/object_detection/validate"])
@pytest.mark.parametrize("upright", [True, False], ids=["upright", "turned"])
async def test_boxes_are_in_the_pixels_of_the_upload(client, path, upright):
    image, wanted = large(1_001)
    body = encoded(image, quality=95) if upright else turned(image)

    answer = (await client.post(path, content=body, headers={"content-type": "image/jpeg"})).json()

    assert (answer["width"], answer["height"]) == (300, 200)
    found = {box["label"]: box for box in answer["boxes"]}
    assert found.keys() == wanted.keys()
    for name, box in wanted.items():
        assert iou(found[name]["box"], box) > 0.5
        assert 0.5 < found[name]["confidence"] <= 1


def iou(one: Any, other: Any) -> float:
    one, other = np.array(one), np.array(other)
    both = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    return float(both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both))


async def test_a_picture_without_anything_has_no_boxes(client):
    answer = (await client.post("/validate", files={"img": ("a.png", encoded(scene(0)[0], "PNG"))})).json()

    assert answer == {"width": 60, "height": 40, "boxes": []}


async def test_several_pictures_get_a_list(client):
    files = [("img", (f"{number}.png", encoded(scene(number)[0], "PNG"))) for number in (1_001, 0)]

    answers = (await client.post("/validate", files=files)).json()

    assert [len(answer["boxes"]) for answer in answers] == [2, 0]


async def test_the_drawn_picture_is_the_upload_with_frames(client):
    image, _ = large(1_001)
    files = {"img": ("a.png", encoded(image, "PNG"), "image/png")}

    drawn = await client.post("/validate?annotated=true", files=files)

    assert drawn.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(drawn.content))
    assert shown.size == (300, 200)
    assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - np.asarray(image)).max() > 40


async def test_the_protocol_answers_with_boxes_filled_up_to_the_same_number(client):
    texts = [base64.b64encode(encoded(scene(number)[0], "PNG")).decode() for number in (1_001, 0)]
    asked = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2], "data": texts}]}

    body = (await client.post("/v2/models/scenes/infer", json=asked)).json()

    outputs = {output["name"]: output for output in body["outputs"]}
    assert outputs["count"]["data"] == [2, 0]
    assert outputs["boxes"]["shape"] == [2, 2, 4]
    assert sorted(outputs["label"]["data"][:2]) == CLASSES
    assert outputs["label"]["data"][2:] == ["", ""]


async def test_another_task_s_path_says_where_to_ask(client):
    refused = await client.post("/classification/validate/", content=encoded(scene(1)[0]))

    assert refused.status_code == 404
    assert "ask /validate or /object_detection/validate/" in refused.json()["error"]["message"]


def test_postprocessing_decides_what_is_shown(trained):
    predictor, content = Predictor.load(trained), encoded(scene(1_001)[0], "PNG")

    def boxes(**settings: object) -> list[Any]:
        return predictor.predict([content], Postprocessing.model_validate(settings))[0].boxes

    assert {box.label for box in boxes(labels={"disc": "coin"})} == {"coin", "bar"}
    assert boxes(scoreThreshold=1) == []
    assert 2 < len(boxes(scoreThreshold=0)) < len(boxes(scoreThreshold=0, nmsIou=1)) <= MOST_BOXES


BAD = {
    "a size between those of the levels": ({"imageSize": 60}, Stage.CONFIG, Reason.INVALID_SPEC, "take 32 or 64"),
    "a backbone without features": (
        {"backbone": "vit_tiny_patch16_224"},
        Stage.MODEL,
        Reason.MODEL_INVALID,
        "vit_tiny_patch16_224",
    ),
}


@pytest.mark.parametrize(("model", "stage", "reason", "words"), BAD.values(), ids=BAD)
def test_a_model_that_cannot_detect_is_told_before_anything_is_trained(data, tmp_path, model, stage, reason, words):
    outcome, code = attempt(run_of(data, tmp_path / "out", **model), tmp_path)

    assert isinstance(outcome, Failed)
    assert (outcome.stage, outcome.reason, code) == (stage, reason, ExitCode.USER_ERROR)
    assert words in outcome.message
