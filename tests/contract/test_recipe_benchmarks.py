"""What `make bench-recipes` computes without training, and that its specs are those of TrainingJobs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.recipes import detection, initial, pasted, segmentation, weights
from benchmarks.recipes.comparison import Comparison, Place
from benchmarks.recipes.results import keep, section

from autotrain_api.trainingjob import Spec

pytestmark = pytest.mark.torch


def test_a_section_is_written_beside_the_others(tmp_path):
    path = tmp_path / "results/recipes.json"

    keep(path, "detection", {"figures": 1})
    keep(path, "classification", {"figures": 2})
    keep(path, "detection", {"figures": 3})

    assert json.loads(path.read_text()) == {"classification": {"figures": 2}, "detection": {"figures": 3}}


def test_every_run_is_the_spec_of_a_trainingjob(tmp_path):
    for spec in detection.specs(tmp_path, tmp_path / "weights.safetensors").values():
        Spec.model_validate(spec)


def test_every_bar_belongs_to_a_run(tmp_path):
    assert detection.WANTED.keys() == detection.specs(tmp_path, tmp_path).keys()


def test_pasted_items_do_not_cover_one_another():
    assert pasted.iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert pasted.iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_weights_get_their_names_by_position_and_shape():
    wanted = weights.named_tensors()
    counted = {name for name in wanted if name.endswith(weights.COUNTER)}
    given = {f"layer.{number}": tensor for number, (name, tensor) in enumerate(wanted.items()) if name not in counted}

    found = weights.converted(given, wanted)

    assert found.keys() == wanted.keys() - counted
    assert all(found[name].equal(wanted[name]) for name in found)


def test_weights_of_another_network_are_refused():
    wanted = weights.named_tensors()
    given = dict(reversed(wanted.items()))

    with pytest.raises(weights.WeightsError, match="do not have the shapes"):
        weights.converted(given, wanted)


def test_a_section_tells_no_address_of_the_machine(tmp_path):
    place = Place(tmp_path / "cache", 17)
    found = Comparison({"spec": segmentation.spec_of(place.cache / "pasted-17", place.cache / "weights/a")}, [])

    told = section(found, place)

    assert str(tmp_path) not in json.dumps(told)
    assert told["figures"]["spec"]["data"]["uri"] == "file:///cache/pasted-17"
    assert told["seed"] == 17


def test_runs_for_masks_and_for_initial_weights_are_specs_as_well(tmp_path):
    Spec.model_validate(segmentation.spec_of(tmp_path, tmp_path / "weights.safetensors"))
    for start in ({"pretrained": False}, {"initialWeights": {"uri": "file:///weights.safetensors"}}):
        Spec.model_validate(initial.spec_of(tmp_path / "data.tgz", start, 17))


def test_groups_of_classes_are_counted_together():
    true, found = np.array([[0, 1, 2, 2]], np.uint8), np.array([[0, 2, 2, 0]], np.uint8)
    counts = segmentation.confusion(true, found, 3)

    assert segmentation.ious(counts).tolist() == pytest.approx([1 / 2, 0, 1 / 3])
    assert segmentation.ious(segmentation.merged(counts, [0, 1, 1])).tolist() == pytest.approx([1 / 2, 2 / 3])
    assert sorted(name for group in segmentation.GROUPS.values() for name in group) == sorted(pasted.CLASSES)
