"""The base of every type in the contract: camelCase outside, snake_case inside, nothing unknown, nothing mutable."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


class Api(BaseModel):
    """A part of an object as Kubernetes stores it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)

    def to_dict(self) -> dict[str, Any]:
        """This object as JSON-ready data under its camelCase names, without absent (None) fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _integral(value: object) -> object:
    """Kubernetes takes 1.0 for an integer, JSON and YAML writers produce it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$"
"""Kubernetes quantities without sign and exponent."""

Text = Annotated[str, StringConstraints(max_length=1024)]
Name = Annotated[str, StringConstraints(max_length=253)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY, max_length=32)] | Annotated[int, Field(ge=0)]
Integer = Annotated[int, BeforeValidator(_integral)]
Fraction = Annotated[float, Field(ge=0, le=1)]
