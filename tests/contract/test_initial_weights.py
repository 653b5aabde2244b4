"""Weights to start from: which tensor goes where, and what is said of those that go nowhere."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from autotrain_api.names import ExitCode, Reason
from autotrain_api.run import RunConfig
from autotrain_trainer.data.fetch import fetch_file
from autotrain_trainer.failures import RunError
from autotrain_trainer.initial_weights import load_initial

pytestmark = pytest.mark.torch
BACKBONES = ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"]


def run_of(path: Path, backbone: str, **fields: object) -> RunConfig:
    model = {"backbone": backbone, "initialWeights": {"uri": f"file://{path}", **fields}}
    recipe = {"task": "Classification", "data": {"uri": "file:///d"}, "model": model}
    uris = {"dataUri": "file:///d", "outputUri": "file:///o"}
    return RunConfig.model_validate({"name": "a", "revision": "v1-0123456789", "recipe": recipe, **uris})


def made(backbone: str, **options: object) -> torch.nn.Module:
    return timm.create_model(backbone, pretrained=False, **options)


def written(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def load(network: torch.nn.Module, path: Path, backbone: str, **fields: object) -> list[str]:
    said: list[str] = []
    load_initial(network, run_of(path, backbone, **fields), path.parent, said.append)
    return said


@pytest.mark.parametrize("prefix", ["", "backbone.", "network.encoder.model.", "module."])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_everything_but_the_head_is_taken(tmp_path, backbone, prefix):
    given = made(backbone, num_classes=7)
    path = written(tmp_path / "w.safetensors", {prefix + name: tensor for name, tensor in given.state_dict().items()})
    network = made(backbone, num_classes=3)
    head = {id(parameter) for parameter in network.get_classifier().parameters()}

    said = load(network, path, backbone)

    for (name, found), before in zip(network.named_parameters(), given.parameters(), strict=True):
        assert id(found) in head or torch.equal(found, before), name
    assert said[-1].startswith("starting from ")
    assert ";" not in said[-1]


@pytest.mark.parametrize("backbone", BACKBONES[:3])
def test_features_are_taken_from_a_whole_model(tmp_path, backbone):
    given = made(backbone)
    path = written(tmp_path / "w.safetensors", given.state_dict())
    features = made(backbone, features_only=True)

    load(features, path, backbone)

    known = {tensor.shape: tensor for tensor in given.state_dict().values()}
    values = [tensor for tensor in given.state_dict().values() if tensor.dim() > 1]
    for name, parameter in features.named_parameters():
        if parameter.dim() > 1:
            assert parameter.shape in known
            assert any(parameter.shape == value.shape and torch.equal(parameter, value) for value in values), name


def damaged(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One tensor of another shape, one missing, one that nobody knows."""
    names = [name for name in tensors if name.startswith("layer1")]
    changed = {name: tensor for name, tensor in tensors.items() if name != names[1]}
    return changed | {names[0]: torch.zeros(1), "stranger": torch.zeros(1)}


def test_what_does_not_fit_is_named(tmp_path):
    path = written(tmp_path / "w.safetensors", damaged(made("test_resnet").state_dict()))

    with pytest.raises(RunError) as caught:
        load(made("test_resnet"), path, "test_resnet")

    assert (caught.value.reason, caught.value.exit_code) == (Reason.INITIAL_WEIGHTS_MISMATCH, ExitCode.USER_ERROR)
    for words in ("1 are missing: layer1", "1 are not known: stranger", "1 have another shape: layer1", "[1] for ["):
        assert words in str(caught.value)


def test_the_log_names_everything_that_does_not_fit(tmp_path, caplog):
    other = made("test_vit").state_dict()

    with pytest.raises(RunError, match=r", \.\.\."):
        load(made("test_resnet"), written(tmp_path / "w.safetensors", other), "test_resnet")

    assert all(name in caplog.text for name in other if not name.startswith("head."))
    assert all(name in caplog.text for name, _ in made("test_resnet").named_parameters() if not name.startswith("fc."))


def test_what_fits_is_taken_where_that_is_allowed(tmp_path):
    given = made("test_resnet")
    path = written(tmp_path / "w.safetensors", damaged(given.state_dict()))
    network = made("test_resnet")

    said = load(network, path, "test_resnet", strict=False)

    assert "stranger" in said[-1]
    assert torch.equal(network.conv1[0].weight, given.conv1[0].weight)


BAD = {
    "another backbone": (
        lambda path: written(path, made("test_vit").state_dict()),
        {},
        Reason.INITIAL_WEIGHTS_MISMATCH,
    ),
    "nothing that fits": (
        lambda path: written(path, {"a": torch.zeros(1)}),
        {"strict": False},
        Reason.INITIAL_WEIGHTS_MISMATCH,
    ),
    "no safetensors": (lambda path: path.write_bytes(b"pickle"), {}, Reason.INITIAL_WEIGHTS_MISMATCH),
    "nothing there": (lambda path: None, {}, Reason.DATA_NOT_FOUND),
    "a folder": (lambda path: path.mkdir(), {}, Reason.DATA_NOT_FOUND),
    "another digest": (
        lambda path: written(path, made("test_resnet").state_dict()),
        {"sha256": "0" * 64},
        Reason.DATA_DIGEST_MISMATCH,
    ),
}


@pytest.mark.parametrize(("make", "fields", "reason"), BAD.values(), ids=BAD)
def test_weights_that_cannot_be_had_are_told(tmp_path, make, fields, reason):
    path = tmp_path / "w.safetensors"
    make(path)

    with pytest.raises(RunError) as caught:
        load(made("test_resnet"), path, "test_resnet", **fields)

    assert caught.value.reason == reason
    assert "w.safetensors" in str(caught.value)


def test_the_field_that_pins_a_file_is_named(tmp_path):
    (tmp_path / "f").write_bytes(b"x")

    with pytest.raises(RunError, match=r"spec\.a says 0000"):
        fetch_file(f"file://{tmp_path}/f", "0" * 64, tmp_path / "g", "spec.a", print)
