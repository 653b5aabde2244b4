"""Answers as JSON, the same from `POST /validate` and from `autotrain-trainer validate`."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

Answer = BaseModel | dict[str, Any]
"""A task's own model, or what one of the job's own functions made of it."""
_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def to_json(answers: Sequence[Answer]) -> str:
    """One answer by itself, several as a list."""
    return _ANY.dump_json(answers[0] if len(answers) == 1 else list(answers)).decode()
