"""Specs that nobody can work on: they lead no request astray, and the status says what is wrong, never an exception."""

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from autotrain_api import names
from autotrain_api.names import Reason
from autotrain_operator.kube import Call, Kube, NotFoundError, RefusedError, path_of
from autotrain_operator.observe import Observed, Observer
from autotrain_operator.reconcile import Reconciler
from autotrain_operator.validate import SpecError, check_meaning, parse_spec
from operator_world import SETTINGS, World, trainingjob

KEY = ("lab", "flowers")
ASTRAY = [
    "../../kube-system/configmaps/coredns",
    "..",
    ".",
    "%2e%2e",
    "%2E%2E/x",
    "a/b",
    "a?b",
    "a#b",
    "a b",
    "",
    "Ä",
    "a\n",
]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


# --- names in paths


@pytest.mark.parametrize("name", ASTRAY)
def test_a_name_that_could_lead_elsewhere_makes_no_path(name: str) -> None:
    with pytest.raises(RefusedError, match="is no name"):
        path_of("ConfigMap", "lab", name)
    with pytest.raises(RefusedError, match="is no name"):
        path_of("ConfigMap", name)


def test_names_make_paths() -> None:
    assert path_of("Pod", "lab", "a-1.b", "log") == "/api/v1/namespaces/lab/pods/a-1.b/log"
    assert path_of("Pod", "lab") == "/api/v1/namespaces/lab/pods"
    assert path_of("Pod", None) == "/api/v1/pods"


class Silence:
    """A transport that must not be used."""

    async def request(self, call: Call) -> bytes:
        raise AssertionError(call)


@pytest.mark.parametrize("name", ASTRAY)
async def test_what_no_object_can_be_called_is_not_there(name: str) -> None:
    assert await Kube(Silence()).find("ConfigMap", "lab", name) is None


@pytest.mark.parametrize("name", ASTRAY)
def test_functions_that_cannot_be_are_told_with_their_field(name: str) -> None:
    functions = {"configMapRef": {"name": name}}
    world = World(functions=functions, preprocessing={"function": "grey"}).settle()

    assert world.condition("ConfigValid") == ("False", Reason.INVALID_SPEC)
    assert world.message("ConfigValid").startswith(f"spec.functions.configMapRef.name: found {name!r}")
    assert world.created == []


# --- places


@pytest.mark.parametrize(
    "uri", ["pvc://[x", "pvc://data\N{ACCOUNT OF}set", "pvc://", "pvc:///a", "pvc://a]b/c", "pvc://a:x"]
)
@pytest.mark.parametrize("field", ["data", "model", "output"])
def test_a_place_that_cannot_be_is_told_with_its_field(field: str, uri: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "data": {"uri": uri},
        "model": {"backbone": "resnet18", "initialWeights": {"uri": uri}},
        "output": {"uri": uri},
    }
    world = World(**{field: places[field]}).settle()

    assert world.condition("ConfigValid") == ("False", Reason.INVALID_SPEC)
    assert f"uri: found {uri!r}" in world.message("ConfigValid")


@pytest.mark.parametrize("path", ["[x", "\N{ACCOUNT OF}", "a]b", "a:99999", "//b", "%zz"])
def test_any_path_below_a_claim_can_be_planned(path: str) -> None:
    world = World(data={"uri": f"pvc://data/{path}"}, output={"uri": f"pvc://models/{path}"}).settle()

    assert world.condition("ConfigValid") == ("True", Reason.VALID)


# --- affinity


@pytest.mark.parametrize("affinity", [{"podAffinity": None}, {"podAffinity": {REQUIRED: None}}, {"nodeAffinity": None}])
def test_an_affinity_of_nothing_is_none(affinity: dict[str, Any]) -> None:
    world = World(compute={"affinity": affinity}, serving={"affinity": affinity}).settle()
    pod = world.job["spec"]["template"]["spec"]
    world.trains()

    for found in (pod, world.deployment["spec"]["template"]["spec"]):
        assert len(found["affinity"]["podAffinity"][REQUIRED]) == 1


@pytest.mark.parametrize(
    ("affinity", "words"),
    [
        pytest.param({"podAffinity": "x"}, "podAffinity: found 'x': it is an object", id="text"),
        pytest.param({"nodeAffinity": []}, "nodeAffinity: found []: it is an object", id="a list"),
        pytest.param({"podAntiAffinity": 1}, "podAntiAffinity: found 1: it is an object", id="a number"),
        pytest.param({"podAffinity": {REQUIRED: {}}}, f"{REQUIRED}: found {{}}: it is a list", id="an object"),
        pytest.param({"podAffinity": {REQUIRED: "x"}}, f"{REQUIRED}: found 'x': it is a list", id="text deep down"),
    ],
)
@pytest.mark.parametrize("section", ["compute", "serving"])
def test_an_affinity_of_another_form_is_told(section: str, affinity: dict[str, Any], words: str) -> None:
    spec = parse_spec(trainingjob(**{section: {"affinity": affinity}})["spec"])

    with pytest.raises(SpecError) as refused:
        check_meaning(spec)

    assert str(refused.value).startswith(f"spec.{section}.affinity.")
    assert words in str(refused.value)
    assert refused.value.reason == Reason.INVALID_SPEC


# --- what nobody thought of


class OneObject:
    """An API with one TrainingJob and nothing else; it keeps what is patched."""

    def __init__(self) -> None:
        self.obj = trainingjob()
        self.patches: list[dict[str, Any]] = []

    async def request(self, call: Call) -> bytes:
        if call.method == "PATCH":
            self.patches.append(cast("dict[str, Any]", call.body))
        elif call.path != path_of(names.KIND, *KEY):
            raise NotFoundError(404, "NotFound", call.path)
        return json.dumps(self.obj).encode()


class OddChildren:
    """Sees what a plan does not expect."""

    async def observe(self, *_: Any) -> Observed:
        return Observed(jobs=[{"metadata": {}}])


async def test_a_plan_that_raises_is_told_in_the_status_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    api = OneObject()
    clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # noqa: E731
    reconciler = Reconciler(Kube(api), cast("Observer", OddChildren()), SETTINGS, clock)

    await reconciler.reconcile(KEY)

    conditions = {one["type"]: one for one in api.patches[0]["status"]["conditions"]}
    assert (conditions["ConfigValid"]["status"], conditions["ConfigValid"]["reason"]) == ("False", "InvalidSpec")
    assert conditions["Stalled"]["status"] == "True"
    assert "KeyError" in conditions["ConfigValid"]["message"]
    assert api.patches[0]["status"]["phase"] == "Invalid"
    assert any(record.exc_info for record in caplog.records)


# --- keys of labels and annotations, of which the CRD knows no form

KEYS = {
    "with an umlaut": "größe",
    "empty": "",
    "with two slashes": "a/b/c",
    "with an empty prefix": "/a",
    "without a name": "a/",
    "with a space": "a b",
    "of a Kelvin": "\u212a",
    "too long": "x" * 64,
    "with a prefix that is too long": f"{'a' * 254}/b",
}


@pytest.mark.parametrize("field", ["labels", "nodeSelector", "annotations"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_that_cannot_be_is_told_with_its_field(field: str, key: str) -> None:
    with pytest.raises(SpecError, match=rf"spec\.serving\.{field}") as refused:
        parse_spec(trainingjob(serving={field: {key: "a"}})["spec"])

    assert repr(key) in str(refused.value)


def test_prefixes_are_in_small_letters_but_in_annotations() -> None:
    parse_spec(trainingjob(compute={"annotations": {"Example.org/a": "ü"}, "labels": {"example.org/A_b": ""}})["spec"])
    with pytest.raises(SpecError, match="is no key"):
        parse_spec(trainingjob(compute={"labels": {"Example.org/a": "a"}})["spec"])
