"""Answers as JSON, the same from `POST /validate` and from `autotrain-trainer validate`."""

from collections.abc import Sequence

from pydantic import BaseModel, TypeAdapter

from autotrain_server.predictor import Answer

DIGITS = 6


class Top(BaseModel):
    label: str
    confidence: float


class ClassificationAnswer(BaseModel):
    prediction: str
    confidence: float
    top: list[Top]


Body = ClassificationAnswer | list[ClassificationAnswer]


def body_of(answers: Sequence[Answer]) -> Body:
    """One answer by itself, several as a list."""
    shaped = [_shape(answer) for answer in answers]
    return shaped[0] if len(shaped) == 1 else shaped


def to_json(answers: Sequence[Answer]) -> str:
    """The body as text."""
    return TypeAdapter(Body).dump_json(body_of(answers)).decode()


def _shape(answer: Answer) -> ClassificationAnswer:
    return ClassificationAnswer(
        prediction=answer.prediction,
        confidence=round(answer.confidence, DIGITS),
        top=[Top(label=top.label, confidence=round(top.confidence, DIGITS)) for top in answer.top],
    )
