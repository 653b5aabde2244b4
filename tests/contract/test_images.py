"""What the Dockerfiles promise: the same for all three, and what each must not hold. Building them is `make images`."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = [ROOT / part / "Dockerfile" for part in ("operator", "server_image", "trainer_image")]
every = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def final_stage(dockerfile: Path) -> str:
    return dockerfile.read_text().rpartition("\nFROM ")[2]


def pinned(part: str, name: str = "requirements.txt") -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / part / name).read_text(), re.MULTILINE))


@every
def test_the_base_is_an_argument_with_a_default(dockerfile: Path):
    text = dockerfile.read_text()

    assert text.split("FROM")[0].rstrip().endswith("ARG PYTHON_IMAGE=python:3.11-slim")
    assert all(
        line.startswith(("FROM ${PYTHON_IMAGE}", "FROM packages", "FROM more"))
        for line in re.findall("^FROM.*", text, re.M)
    )


@every
def test_it_runs_as_a_number_that_has_a_name(dockerfile: Path):
    assert "USER 1000:1000" in final_stage(dockerfile)
    assert "autotrain:x:1000:1000:" in final_stage(dockerfile)


@every
def test_the_program_is_the_first_process_and_writes_below_tmp(dockerfile: Path):
    stage = final_stage(dockerfile)

    assert re.search(r'^ENTRYPOINT \["autotrain-[a-z]+"\]$', stage, re.MULTILINE)
    assert "HOME=/tmp" in stage
    assert "PYTHONDONTWRITEBYTECODE=1" in stage
    assert "HEALTHCHECK" not in stage


@every
def test_packages_are_a_layer_below_the_code_and_hashed(dockerfile: Path):
    text = dockerfile.read_text()

    assert text.index("--require-hashes -r /build/requirements") < text.index("COPY crds")
    for requirements in dockerfile.parent.glob("requirements*.txt"):
        pins = re.findall(r"^[a-z0-9].*", requirements.read_text(), re.MULTILINE | re.IGNORECASE)
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins), requirements


def test_the_server_holds_no_torch():
    assert not pinned("server_image") & {"torch", "torchvision", "timm", "fastai", "onnx"}


def test_the_operator_holds_nothing_of_models():
    assert not pinned("operator") & {"torch", "openvino", "numpy", "pillow"}
