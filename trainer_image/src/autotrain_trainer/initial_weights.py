"""Weights to start from: a file of safetensors goes into a backbone, by name and shape.

The file may be timm's own, a bundle's weights.safetensors of any task, or a checkpoint whose names have one of PREFIXES.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_trainer.data.fetch import Report, fetch_file
from autotrain_trainer.failures import RunError

PREFIXES = ("", "backbone.", "network.encoder.model.", "backbone.body.", "module.", "model.")
"""Of a timm model's names: as they are; in bundles of labels, masks and boxes; in checkpoints of other programs."""
COUNTERS = "num_batches_tracked"
"""Batch normalisation counts its steps; weights of other programs often do not say how many there were."""
SHOWN = 5
"""How many names of a kind a message lists; the log has all."""
log = logging.getLogger(__name__)


class Match(NamedTuple):
    """What a file and a backbone have in common."""

    tensors: dict[str, Tensor]
    """Name in the backbone -> what it gets"""
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]
    """With both shapes."""

    def problems(self, shown: int | None = None) -> str:
        """In words, with so many names of each kind; empty when everything fits."""
        told = (
            ("are missing", self.missing),
            ("are not known", self.unexpected),
            ("have another shape", self.misshapen),
        )
        return "; ".join(
            f"{len(found)} {what}: {', '.join(found[:shown])}{', ...' if shown and found[shown:] else ''}"
            for what, found in told
            if found
        )


def load_initial(backbone: nn.Module, run: RunConfig, work: Path, report: Report) -> None:
    """Give `backbone` (timm's, whole or its features) the weights of model.initialWeights, if there are any.

    The classifier is left as it is: it belongs to other classes. Raises RunError.
    """
    wanted = run.recipe.model.initial_weights
    if wanted is None:
        return
    uri = run.initial_weights_uri or wanted.uri
    path = fetch_file(uri, wanted.sha256, work / "initial-weights", "spec.model.initialWeights.sha256", report)
    try:
        given = load_file(path)
    except (SafetensorError, OSError) as error:
        message = f"{wanted.uri} is not a file of safetensors: {error}"
        raise RunError(Stage.MODEL, Reason.INITIAL_WEIGHTS_MISMATCH, message) from error
    whole: nn.Module = timm.create_model(run.recipe.model.backbone, pretrained=False)
    match = match_tensors(given, backbone.state_dict(), whole.state_dict(), classifiers_of(whole))
    problems = match.problems(SHOWN)
    if problems:
        log.warning("%s against %s: %s", wanted.uri, run.recipe.model.backbone, match.problems())
    if problems and (wanted.strict is not False or not match.tensors):
        message = f"{wanted.uri} does not fit {run.recipe.model.backbone!r}: {problems}"
        raise RunError(Stage.MODEL, Reason.INITIAL_WEIGHTS_MISMATCH, message)
    backbone.load_state_dict(match.tensors, strict=False)
    report(f"starting from {len(match.tensors)} tensors of {wanted.uri}" + (f"; {problems}" if problems else ""))


def classifiers_of(whole: nn.Module) -> tuple[str, ...]:
    """Prefixes of the names of timm's classifier."""
    names = getattr(whole, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def match_tensors(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], whole: Mapping[str, Tensor], classifiers: tuple[str, ...]
) -> Match:
    """`given` is the file, `wanted` the backbone, `whole` the timm model that it is, or is the beginning of."""
    given = without_prefix(given, whole)
    places = {name: name for name in wanted} | {_whole_name(name, whole): name for name in wanted}
    found = Match({}, [], [], [])
    for name, tensor in given.items():
        if name.startswith(classifiers):
            continue
        place = places.get(name)
        if place is None:
            found.unexpected.extend([] if name in whole else [name])
        elif tensor.shape != wanted[place].shape:
            found.misshapen.append(f"{name} {list(tensor.shape)} for {list(wanted[place].shape)}")
        else:
            found.tensors[place] = tensor
    told = set(found.tensors) | {places[name] for name in given if name in places}
    found.missing.extend(
        name for name in wanted if name not in told and not name.startswith(classifiers) and not name.endswith(COUNTERS)
    )
    return found


def without_prefix(given: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix that makes most of them known, without it."""

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in given.items() if name.startswith(prefix)}

    return max((stripped(prefix) for prefix in PREFIXES), key=lambda tensors: sum(name in whole for name in tensors))


def _whole_name(name: str, whole: Mapping[str, Tensor]) -> str:
    """The name in the whole model of what timm renamed for its features: stages_0.x is stages.0.x, model.x is x."""
    first, dot, rest = name.partition(".")
    for restored in (name, rest, f"{first.replace('_', '.')}{dot}{rest}"):
        if restored in whole:
            return restored
    return name
