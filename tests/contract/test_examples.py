"""The examples are what they say: valid, complete, and the demo's pictures are never in the training data."""

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pydantic import BaseModel

from autotrain_api.trainingjob import Spec, TrainingJob

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("crds/examples/*.yaml"), *ROOT.glob("examples/*/*.yaml")])


@pytest.fixture(scope="module")
def pictures() -> Iterator[Any]:
    """The module examples/pictures.py."""
    sys.path.insert(0, str(ROOT / "examples"))
    import pictures

    yield pictures
    sys.path.remove(str(ROOT / "examples"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def training_jobs(path: Path) -> list[dict[str, Any]]:
    return [document for document in documents(path) if document["kind"] == "TrainingJob"]


JOBS = [job for path in FILES for job in training_jobs(path)]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["metadata"]["name"])
def test_types_take_the_example(job: dict[str, Any]):
    TrainingJob.model_validate(job)


def test_crd_examples_hold_nothing_but_trainingjobs():
    for path in ROOT.glob("crds/examples/*.yaml"):
        assert documents(path) == training_jobs(path), path


def test_names_of_the_examples_are_different():
    names = [job["metadata"]["name"] for job in JOBS]

    assert sorted(names) == sorted(set(names))


def missing(value: Any, annotation: object, path: str) -> list[str]:
    """Fields of the types that the example leaves out."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    found = []
    for name, field in annotation.model_fields.items():
        key = field.alias or name
        if key not in value:
            found.append(f"{path}.{key}")
        else:
            found += missing(value[key], field.annotation, f"{path}.{key}")
    return found


def test_the_full_example_shows_every_field():
    (full,) = documents(ROOT / "crds/examples/full.yaml")

    assert missing(full["spec"], Spec, "spec") == []


def test_the_folder_of_the_crd_can_be_applied_as_a_whole():
    """`kubectl apply -f crds/` reads what ends in .yaml, .yml or .json, and no folders below."""
    read = [path.name for path in (ROOT / "crds").iterdir() if path.suffix in (".yaml", ".yml", ".json")]

    assert read == ["trainingjobs.autotrain.dev.yaml"]


# --- the demo's data


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}  # type: ignore[union-attr]


def test_held_out_digits_are_never_in_the_training_data(pictures: Any, tmp_path: Path):
    data = pictures.digits(tmp_path)
    trained = {np.asarray(Image.open(io.BytesIO(png))).tobytes() for png in members(data.archive).values()}

    assert len(data.held_out) == 200
    assert not trained & {picture.pixels.tobytes() for picture in data.held_out}
    assert len(trained) + len(data.held_out) == 1797


def test_the_same_digits_are_held_out_every_time(pictures: Any, tmp_path: Path):
    first, second = pictures.digits(tmp_path), pictures.digits(tmp_path)

    assert first.archive == second.archive
    assert [picture.digest for picture in first.held_out] == [picture.digest for picture in second.held_out]
    assert first.held_out[0].digest.startswith("0")


def test_the_archive_of_digits_fits_into_a_config_map(pictures: Any, tmp_path: Path):
    assert len(pictures.digits(tmp_path).archive) < 1_000_000


def test_all_digits_are_asked_about(pictures: Any, tmp_path: Path):
    assert {picture.label for picture in pictures.digits(tmp_path).held_out} == set("0123456789")


def test_the_server_s_names_of_clothes_are_the_truth_s(pictures: Any):
    (job,) = training_jobs(ROOT / "examples/fashion-mnist/trainingjob.yaml")

    labels = job["spec"]["serving"]["postprocessing"]["labels"]
    assert [labels[str(number)] for number in range(10)] == pictures.CLOTHES


def test_missing_tools_are_named(pictures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(pictures.DataError, match="dataset-fashion-mnist; no apt-get"):
        pictures.fashion_folder(tmp_path, system=tmp_path)


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
def test_loader_and_trainingjob_speak_of_the_same_claim(name: str):
    claim, loader = documents(ROOT / f"examples/{name}/data.yaml")
    (job,) = training_jobs(ROOT / f"examples/{name}/trainingjob.yaml")

    assert job["spec"]["data"]["uri"] == f"pvc://{claim['metadata']['name']}"
    volumes = {volume["name"]: volume for volume in loader["spec"]["template"]["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert job["metadata"]["name"] == name == volumes["archive"]["configMap"]["name"]
