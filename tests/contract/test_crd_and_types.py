"""The CRD and autotrain_api say the same: every field, type, default, enum, bound and required name."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from autotrain_api import names
from autotrain_api.status import Status
from autotrain_api.trainingjob import Spec
from contract.verdicts import BAD, GOOD, Case
from minicluster import schema as structural
from minicluster import shaping

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "crds/trainingjobs.autotrain.dev.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
PROPERTIES = VERSION["schema"]["openAPIV3Schema"]["properties"]

BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "maxProperties")
Facts = dict[str, dict[str, Any]]


def crd_facts(schema: dict[str, Any], path: str) -> Facts:
    """Path -> what the CRD says about it."""
    facts = {key: schema[key] for key in BOUNDS if key in schema}
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if schema.get(exclusive):
            facts[exclusive] = facts.pop(bound)
    facts["type"] = "int-or-string" if schema.get("x-kubernetes-int-or-string") else schema["type"]
    facts["enum"] = sorted(schema.get("enum", []))
    facts["default"] = schema.get("default") or None
    facts["required"] = sorted(schema.get("required", []))
    return {path: facts} | children(schema, path, crd_facts)


def type_facts(schema: dict[str, Any], path: str, definitions: dict[str, Any]) -> Facts:
    """Path -> what the pydantic type says about it."""
    default = schema.get("default")
    schema = resolve(schema, definitions)
    facts = {key: schema[key] for key in (*BOUNDS, "exclusiveMinimum", "exclusiveMaximum") if key in schema}
    facts["type"] = schema["type"]
    facts["enum"] = sorted([schema["const"]] if "const" in schema else schema.get("enum", []))
    facts["default"] = None if schema["type"] == "object" else default or None
    facts["required"] = sorted(schema.get("required", []))
    return {path: facts} | children(schema, path, lambda child, below: type_facts(child, below, definitions))


def resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`schema` without references and without the `null` of an optional field; a quantity is one type."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        return resolve(options[0], definitions)
    if options:
        assert [option["type"] for option in options] == ["string", "integer"], schema
        return {**options[1], **options[0], "type": "int-or-string"}
    return schema


def children(schema: dict[str, Any], path: str, facts: Any) -> Facts:
    found: Facts = {}
    for name, child in schema.get("properties", {}).items():
        found |= facts(child, f"{path}.{name}")
    if "items" in schema:
        found |= facts(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        found |= facts(schema["additionalProperties"], f"{path}{{}}")
    return found


def facts_of(model: type[BaseModel], path: str) -> Facts:
    schema = model.model_json_schema(by_alias=True)
    return type_facts(schema, path, schema.get("$defs", {}))


def test_spec_is_the_same_field_by_field():
    crd, types = crd_facts(PROPERTIES["spec"], "spec"), facts_of(Spec, "spec")
    for path, facts in crd.items():
        if facts["type"] == "object" and facts["default"] is not None:
            assert facts.pop("default") == {}, path
            facts["default"] = None

    assert sorted(crd) == sorted(types)
    assert {path: facts for path, facts in crd.items() if facts != types[path]} == {}


def test_status_is_the_same_in_names_types_and_enums():
    crd, types = crd_facts(PROPERTIES["status"], "status"), facts_of(Status, "status")
    same = ("type", "enum", "maxItems")

    assert sorted(crd) == sorted(types)
    assert [path for path in crd if any(crd[path].get(key) != types[path].get(key) for key in same)] == []


def test_defaults_below_an_object_show_only_when_the_object_has_a_default():
    def hidden(schema: dict[str, Any], path: str, shown: bool) -> list[str]:
        below = schema.get("properties", {})
        found = [] if shown else [f"{path}.{name}" for name, child in below.items() if "default" in child]
        for name, child in below.items():
            found += hidden(child, f"{path}.{name}", "default" in child or name in schema.get("required", []))
        return found

    assert hidden(PROPERTIES["spec"], "spec", shown=True) == []


def every(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += every(child, f"{path}.{name}")
    return found + (every(schema["items"], f"{path}[]") if "items" in schema else [])


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_described(part: str):
    nameless = [path for path, schema in every(PROPERTIES[part], part) if "description" not in schema]

    assert [path for path in nameless if not path.endswith("[]")] == []


def test_strings_lists_and_maps_of_the_spec_are_bounded():
    def unbounded(schema: dict[str, Any]) -> bool:
        if schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string"):
            return "enum" not in schema and "maxLength" not in schema
        if schema.get("type") == "array":
            return "maxItems" not in schema
        return "additionalProperties" in schema and "maxProperties" not in schema

    assert [path for path, schema in every(PROPERTIES["spec"], "spec") if unbounded(schema)] == []


def refused_at(case: Case, old: dict[str, Any] | None = None) -> list[str]:
    """The places in the spec that the CRD has something against."""
    schema, item = VERSION["schema"]["openAPIV3Schema"], case.build()
    unknown = [path for path in shaping.unknown_fields(item, schema) if path.startswith("spec")]
    return unknown + [error.field for error in structural.errors(schema, stored(case), old)]


def stored(case: Case) -> dict[str, Any]:
    """The object with its defaults."""
    item: dict[str, Any] = shaping.with_defaults(case.build(), VERSION["schema"]["openAPIV3Schema"])
    return item


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.title)
def test_the_crd_takes(case: Case):
    assert refused_at(case) == []


@pytest.mark.parametrize(
    "case", [case for case in BAD if str(case.refused_at).startswith("spec")], ids=lambda case: case.title
)
def test_the_crd_refuses_and_names_the_place(case: Case):
    found = refused_at(case)

    assert any(path.startswith(str(case.refused_at)) for path in found), found


@pytest.mark.parametrize(
    ("before", "after"),
    [({"reclaim": "Delete"}, {}), ({}, {"reclaim": "Delete"}), ({"reclaim": "Delete"}, {"reclaim": "Retain"})],
    ids=["taken away", "added", "changed"],
)
def test_what_becomes_of_the_models_is_settled_when_they_get_their_place(before: dict[str, Any], after: dict[str, Any]):
    old, new = (Case("", {"spec.output": output}, None) for output in (before, after))

    assert refused_at(old, stored(old)) == []
    assert refused_at(new, stored(old)) == ["spec.output.reclaim"]


def test_names_are_the_contract_s():
    assert CRD["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"
    assert (CRD["spec"]["group"], VERSION["name"], CRD["spec"]["names"]["kind"]) == (
        names.GROUP,
        names.VERSION,
        names.KIND,
    )
