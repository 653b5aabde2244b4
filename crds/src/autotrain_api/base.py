"""The base of every type in the contract: camelCase outside, snake_case inside, nothing unknown, nothing mutable,
no number that JSON does not have.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel


class Api(BaseModel):
    """A part of an object as Kubernetes stores it."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        """Kubernetes takes 1.0 for an integer, and writers of JSON and YAML produce it."""
        if not isinstance(value, dict):
            return value
        return {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in value.items()}

    def to_dict(self) -> dict[str, Any]:
        """This object as JSON-ready data under its camelCase names, without absent (None) fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$"
"""Kubernetes quantities without sign and exponent."""

Text = Annotated[str, StringConstraints(max_length=1024)]
Name = Annotated[str, StringConstraints(max_length=253)]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
OptionalName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
"""The same, or empty for none."""
DataKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
"""A key in the data of a ConfigMap or Secret."""
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY, max_length=32)] | Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
