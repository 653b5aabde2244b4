"""The raw object -> a typed spec, or a sentence that says which field, what was found, what is allowed."""

import difflib
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autotrain_api import backbones
from autotrain_api.base import Api
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Spec
from autotrain_operator.pods import REQUIRED

SHOWN = 5


class SpecError(Exception):
    """A spec that cannot be worked on; a person has to change it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def parse_spec(raw: dict[str, Any]) -> Spec:
    """`spec` of an object from the API. Raises SpecError."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        problems = [describe(problem) for problem in error.errors()[:SHOWN]]
        raise SpecError(Reason.INVALID_SPEC, "; ".join(problems)) from error


def describe(problem: ErrorDetails) -> str:
    """One pydantic error in words: field, what was found, what is allowed."""
    path = ".".join(["spec", *(str(step) for step in problem["loc"])])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), fields_at(problem["loc"][:-1]), n=1)
        return f"{path}: unknown field" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{path}: required"
    found = problem["input"]
    shown = f": found {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{path}{shown}: {problem['msg']}"


def fields_at(place: tuple[int | str, ...]) -> list[str]:
    """Names of the fields below `place` in the spec."""
    model: type[Api] = Spec
    for step in place:
        field = next((field for field in model.model_fields.values() if field.alias == step), None)
        below = field.annotation if field is not None else None
        if not (isinstance(below, type) and issubclass(below, Api)):
            return []
        model = below
    return [field.alias or name for name, field in model.model_fields.items()]


def check_meaning(spec: Spec) -> None:
    """What no schema says. Raises SpecError."""
    _check_affinity("compute", spec.compute.affinity)
    _check_affinity("serving", spec.serving.affinity)
    _check_backbone(spec)


def _check_affinity(section: str, affinity: dict[str, Any]) -> None:
    """As far as it is worked on here: the API server checks the rest when it gets the pod."""
    for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity"):
        _check_form(f"{section}.affinity.{kind}", affinity.get(kind), dict, "an object")
    terms = (affinity.get("podAffinity") or {}).get(REQUIRED)
    _check_form(f"{section}.affinity.podAffinity.{REQUIRED}", terms, list, "a list")


def _check_form(path: str, found: Any, wanted: type, words: str) -> None:
    if not isinstance(found, wanted | None):
        raise SpecError(Reason.INVALID_SPEC, f"spec.{path}: found {found!r}: it is {words}, as in a Pod, or left out")


def _check_backbone(spec: Spec) -> None:
    name = spec.model.backbone
    if spec.compute.image or name.startswith("hf-hub:") or backbones.is_known(name):
        return  # with an own image, or a model from the hub, the trainer decides
    near = backbones.nearest(name)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    message = f"spec.model.backbone: timm has no model {name!r}{hint}"
    raise SpecError(Reason.UNKNOWN_BACKBONE, message)


def unforeseen(error: Exception) -> SpecError:
    """What planning raised: a spec that passes every check, and cannot be worked on all the same."""
    what = f"{type(error).__name__}: {error}"
    advice = "correct what it names; otherwise report it with the operator's log"
    return SpecError(Reason.INVALID_SPEC, f"spec: no plan can be made of it ({what}); {advice}")
