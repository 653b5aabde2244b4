"""Which precision a bundle is served in: what was asked for, what the trainer measured, what the processor has. Pure."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from autotrain_api.bundle import PrecisionRecord

FLOAT32 = "Float32"
AUTO = "Auto"
PREFERRED = "BFloat16"
"""What Auto takes where it may; eight bits are only for those who ask."""


class Choice(NamedTuple):
    precision: str
    tolerance: float = 0.0
    """Of the golden scores, in units of the largest one; 0 with Float32, which has its own."""
    note: str = ""
    """Why it is not what was asked for; with Auto, why it is not the faster one."""


class PrecisionRefused(Exception):  # noqa: N818 - it is a verdict, with the reason as its text
    """A precision that was named and cannot be had."""


def choose(asked: str, records: Sequence[PrecisionRecord], engine: str, able: Collection[str]) -> Choice:
    """The precision to compile; `able` are the engine's on this processor. Raises PrecisionRefused."""
    if asked == FLOAT32:
        return Choice(FLOAT32)
    wanted = PREFERRED if asked == AUTO else asked
    record = next((record for record in records if (record.precision, record.engine) == (wanted, engine)), None)
    if obstacle := _obstacle(wanted, record, engine, able):
        return fall_back(asked, obstacle)
    return Choice(wanted, record.tolerance if record else 0.0)


def fall_back(asked: str, obstacle: str) -> Choice:
    """Float32 with a note for Auto. Raises PrecisionRefused for a precision that was named."""
    if asked != AUTO:
        raise PrecisionRefused(f"serving.precision {asked} cannot be had: {obstacle}")
    return Choice(FLOAT32, note=f"Float32 instead of {PREFERRED}: {obstacle}")


def _obstacle(wanted: str, record: PrecisionRecord | None, engine: str, able: Collection[str]) -> str:
    """Why `wanted` cannot be served, or ""."""
    if record is None:
        return f"no {wanted} measurement for {engine} is in the bundle"
    if not record.passed:
        return f"the trainer's measurement did not pass: {record.reason}"
    if wanted not in able:
        return f"this processor has no {wanted} in {engine}"
    return ""
