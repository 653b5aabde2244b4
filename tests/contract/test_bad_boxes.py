"""Annotations as they come: what is odd is told and used, what cannot be right ends the run with file and place."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed
from autotrain_trainer import __main__ as trainer
from trained_model import attempt_file

pytestmark = pytest.mark.torch
PICTURES = 30
BOXES = 5
"""Of each picture"""
SIDE = 48
Change = Callable[[dict[str, Any]], None]


def document(count: int = PICTURES, first: int = 0) -> dict[str, Any]:
    """Annotations whose category ids have gaps."""
    names = [f"{first + number}.png" for number in range(count)]
    return {
        "images": [{"id": 1_000 + number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 90, "name": "dog"}],
        "annotations": [
            {
                "id": number,
                "image_id": 1_000 + number // BOXES,
                "category_id": (7, 90)[number % 2],
                "bbox": [8, 9, 20, 16],
            }
            for number in range(count * BOXES)
        ],
    }


def write(folder: Path, part: str, annotations: dict[str, Any], modes: tuple[str, ...] = ("RGB",)) -> None:
    """A part with a picture for each entry, of several modes and sizes."""
    (folder / part).mkdir(parents=True)
    for number, entry in enumerate(annotations["images"]):
        random = np.random.default_rng(int(Path(entry["file_name"]).stem))
        pixels = random.integers(0, 256, (SIDE, SIDE + 8 * (number % 3), 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(modes[number % len(modes)]).save(folder / part / entry["file_name"])
    (folder / f"{part}.json").write_text(json.dumps(annotations))


def run_of(folder: Path) -> Path:
    recipe = {
        "task": "ObjectDetection",
        "data": {"uri": f"file://{folder}/data"},
        "model": {"backbone": "test_efficientnet", "pretrained": False, "imageSize": 32},
        "training": {"epochs": 1, "learningRate": 0.001, "precision": "Float32"},
    }
    run = {"name": "odd", "revision": "v1-0123456789", "recipe": recipe}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run | {"dataUri": recipe["data"]["uri"], "outputUri": f"file://{folder}/out"}))
    return path


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a run that ends with 65 while it reads the data."""
    outcome, code = attempt_file(run_of(folder))

    assert isinstance(outcome, Failed)
    assert (outcome.stage, outcome.reason, code) == (Stage.DATA, Reason.DATA_LAYOUT_INVALID, ExitCode.USER_ERROR)
    assert outcome.hint
    assert "Traceback" not in capsys.readouterr().out
    return outcome.message


def with_boxes(*boxes: list[float]) -> Change:
    def change(found: dict[str, Any]) -> None:
        for entry, box in zip(found["annotations"], boxes, strict=False):
            entry["bbox"] = box

    return change


WRONG_BOXES = with_boxes([5, 5, 0, 9], [9, 9, -4, 5], [500, 5, 20, 9], [30, 0, 60, 9], [float("nan"), 0, 60, 9])
BAD: dict[str, tuple[Change, list[str]]] = {
    "missing pictures": (
        lambda found: [image.update(file_name="gone.png") for image in found["images"][2:4]],
        ["train.json names 2 pictures that are not in the data: images[2]: 'gone.png'; images[3]: 'gone.png'"],
    ),
    "boxes outside, of no area, and no numbers": (
        WRONG_BOXES,
        [
            "5 of 150 boxes cannot be right, more than 1%",
            "train.json, annotations[0]: the box (5, 5, 5, 14) has no area",
            "train.json, annotations[1]: the box (9, 9, 5, 14) has no area",
            "train.json, annotations[2]: the box (500, 5, 520, 14) lies outside of its picture of 48 x 48",
            "train.json, annotations[3]: the box (30, 0, 90, 9) lies mostly outside of its picture of 48 x 48",
            "train.json, annotations[4]: the box (nan, 0, nan, 9) is not made of finite numbers",
        ],
    ),
    "boxes of a category that is not there": (
        lambda found: found["categories"].pop(),
        ["train.json, annotations[1]: there is no entry with category_id 90"],
    ),
    "boxes of a picture that is not there": (
        lambda found: found["images"].pop(0),
        ["train.json, annotations[0]: there is no entry with image_id 1000"],
    ),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
def test_annotations_that_cannot_be_right_end_the_run_with_file_and_place(tmp_path, capsys, change, words):
    write(tmp_path / "data", "train", document())
    annotations = document()
    change(annotations)
    (tmp_path / "data/train.json").write_text(json.dumps(annotations))

    message = refused(tmp_path, capsys)

    for text in words:
        assert text in message


def test_annotations_without_boxes_are_empty_data(tmp_path):
    write(tmp_path / "data", "train", document() | {"annotations": []})

    outcome, code = attempt_file(run_of(tmp_path))

    assert isinstance(outcome, Failed)
    assert (outcome.reason, code) == (Reason.DATA_EMPTY, ExitCode.USER_ERROR)
    assert outcome.message == "no picture has a box"


def test_odd_but_usable_data_is_used_and_told(tmp_path):
    """Gaps in ids, pictures of all sizes and modes, boxes over the edge, one wrong box of many."""
    annotations = document()
    with_boxes([-4, 9, 20, 16], [40, 30, 10, 15], [5, 5, 0, 9])(annotations)
    write(tmp_path / "data", "train", annotations, ("RGB", "L", "P", "RGBA", "1", "LA"))
    write(tmp_path / "data", "valid", document(4, first=26), ("RGB", "L"))

    result = CliRunner().invoke(trainer.app, ["check", "--config", str(run_of(tmp_path))])

    assert result.exit_code == 0, result.output
    assert "2 boxes reach beyond their pictures and are cut off at the edge" in result.output
    assert (
        "1 boxes cannot be right and are left out: train.json, annotations[2]: the box (5, 5, 5, 14)" in result.output
    )
    assert "30 pictures to train on, 4 to validate, 2 classes" in result.output
    assert "2 classes: cat, dog" in result.output


def test_copies_in_both_parts_are_counted_and_named(tmp_path):
    write(tmp_path / "data", "train", document())
    write(tmp_path / "data", "valid", document(12, first=18))

    result = CliRunner().invoke(trainer.app, ["check", "--config", str(run_of(tmp_path))])

    assert result.exit_code == 0, result.output
    assert "12 pictures are in the training part and in the one that it is measured on" in result.output
    assert "valid/18.png, valid/19.png" in result.output


def test_the_process_ends_with_65_and_says_one_thing(tmp_path):
    write(tmp_path / "data", "train", document())
    (tmp_path / "data/train/3.png").unlink()
    command = [sys.executable, "-m", "autotrain_trainer", "train", "--config", str(run_of(tmp_path))]
    quiet = os.environ | {"AUTOTRAIN_HOST": "127.0.0.1", "AUTOTRAIN_PORT": "0", "OMP_NUM_THREADS": "1"}

    ended = subprocess.run([*command, "--termination-log", str(tmp_path / "log")], env=quiet, capture_output=True)

    told = ended.stdout.decode() + ended.stderr.decode()
    assert ended.returncode == ExitCode.USER_ERROR
    assert json.loads((tmp_path / "log").read_text())["reason"] == Reason.DATA_LAYOUT_INVALID
    assert "train.json names 1 pictures that are not in the data: images[3]: '3.png'" in told
    assert "Traceback" not in told
