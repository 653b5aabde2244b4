"""Defaults and digests of v1alpha1 never change: revisions.json only grows."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrain_api.revision import recipe_of, revision_of
from autotrain_api.trainingjob import Spec, TrainingJob
from contract.verdicts import SMALLEST, Case

GOLDEN = json.loads((Path(__file__).parent / "revisions.json").read_text())


def spec_with(changes: dict[str, Any]) -> Spec:
    return TrainingJob.model_validate(Case("", changes, None).build()).spec


def revision_with(changes: dict[str, Any]) -> str:
    return revision_of(recipe_of(spec_with(changes)))


def test_defaults_are_those_of_the_first_release():
    assert spec_with({}).to_dict() == GOLDEN["defaults"]


@pytest.mark.parametrize("entry", GOLDEN["revisions"], ids=lambda entry: entry["revision"])
def test_digests_are_those_of_the_first_release(entry: dict[str, Any]):
    assert revision_with(entry["changes"]) == entry["revision"]


def test_twenty_specs_have_twenty_digests():
    assert len({entry["revision"] for entry in GOLDEN["revisions"]}) >= 20


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.serving.replicas": 5},
        {"spec.serving.postprocessing.topK": 1},
        {"spec.serving.precision": "BFloat16"},
        {"spec.serving.gpus": 1},
        {"spec.serving.batching.maxSize": 1},
        {"spec.serving.image": "own:1"},
        {"spec.compute.gpusPerNode": 8},
        {"spec.policy.retries": 0},
        {"spec.gate": {"metric": "macroF1", "min": 0.9}},
        {"spec.output.uri": "pvc://models"},
        {"spec.suspend": True},
        {"spec.output": {"uri": "s3://models", "secretRef": {"name": "writer"}}},
        {"spec.data.sha256": "0" * 64},
        {"spec.data.secretRef": {"name": "reader"}},
        {"spec.data.cache": {"claimName": "downloads"}},
        {"metadata.name": "other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_does_not_change_the_weights_does_not_train(changes: dict[str, Any]):
    assert revision_with(changes) == revision_with({})


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.training.epochs": 20},
        {"spec.training.epochs": 20.0},
        {"spec.training": {}},
        {"spec.data.classes": []},
        {"spec.data.version": ""},
        {"spec.data.testFraction": 0.0},
        {"spec.augmentation.policy": "Default"},
    ],
    ids=str,
)
def test_a_default_written_out_is_the_same_spec(changes: dict[str, Any]):
    assert revision_with(changes) == revision_with({})


@given(st.permutations(list(SMALLEST["spec"])))
def test_the_order_of_fields_does_not_count(order: list[str]):
    spec = Spec.model_validate({name: SMALLEST["spec"][name] for name in order})

    assert revision_of(recipe_of(spec)) == revision_with({})
