"""What `compute` and `serving` of a TrainingJob share: where pods run and what they carry."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from autotrain_api.base import Api, DataKey, Name, ObjectName, OptionalName, Quantity

LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
ANNOTATION_KEY = re.compile(LABEL_KEY.pattern, re.IGNORECASE | re.ASCII)
"""The same, and capitals before the slash too."""
LONGEST_PREFIX = 253


def label_keys(found: dict[str, str]) -> dict[str, str]:
    return _with_keys(LABEL_KEY, found)


def annotation_keys(found: dict[str, str]) -> dict[str, str]:
    return _with_keys(ANNOTATION_KEY, found)


def _with_keys(form: re.Pattern[str], found: dict[str, str]) -> dict[str, str]:
    """`found`, when each of its keys has this form. Raises ValueError."""
    for key in found:
        if not form.fullmatch(key) or key.find("/") > LONGEST_PREFIX:
            raise ValueError(
                f"{key!r} is no key: that is a name of at most 63 letters, digits, '-', '_' and '.' that starts and ends "
                "with a letter or digit; before it may stand a DNS name of at most 253 characters and a slash"
            )
    return found


LabelValue = Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32), AfterValidator(label_keys)]
AnnotationValue = Annotated[str, StringConstraints(max_length=4096)]
Annotations = Annotated[dict[str, AnnotationValue], Field(max_length=32), AfterValidator(annotation_keys)]


class LocalReference(Api):
    name: ObjectName


class KeyReference(Api):
    name: ObjectName
    key: DataKey
    optional: bool | None = None


class FieldReference(Api):
    field_path: Name


class EnvSource(Api):
    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None
    field_ref: FieldReference | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if sum(source is not None for source in (self.secret_key_ref, self.config_map_key_ref, self.field_ref)) != 1:
            raise ValueError("valueFrom takes exactly one of secretKeyRef, configMapKeyRef and fieldRef")
        return self


class EnvVar(Api):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253)]
    value: Annotated[str, StringConstraints(max_length=32_768)] | None = None
    value_from: EnvSource | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.value is not None and self.value_from is not None:
            raise ValueError("value and valueFrom exclude each other")
        return self


class Toleration(Api):
    key: Name | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Resources(Api):
    requests: Annotated[dict[str, Quantity], Field(max_length=32)] = {}
    limits: Annotated[dict[str, Quantity], Field(max_length=32)] = {}


class PodSettings(Api):
    """What `compute` and `serving` share: where pods run and what they carry."""

    image: Annotated[str, StringConstraints(max_length=512)] = ""
    resources: Resources = Resources()
    node_selector: Labels = {}
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = []
    affinity: dict[str, Any] = {}
    priority_class_name: OptionalName = ""
    runtime_class_name: OptionalName = ""
    service_account_name: OptionalName = ""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] = []
    env: Annotated[list[EnvVar], Field(max_length=64)] = []
    labels: Labels = {}
    annotations: Annotations = {}

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({variable.name for variable in self.env}) != len(self.env):
            raise ValueError("env: names must be unique")
        if len({secret.name for secret in self.image_pull_secrets}) != len(self.image_pull_secrets):
            raise ValueError("imagePullSecrets: names must be unique")
        return self
