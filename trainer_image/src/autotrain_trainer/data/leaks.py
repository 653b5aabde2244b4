"""Pictures that the training part shares with what it is measured on."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from autotrain_trainer.data.samples import Parts, Sample


def leaks(parts: Parts) -> list[str]:
    """Names of validation and test pictures that are in the training part too: the same file name and content.

    Only parts that the data itself has can leak: the split by content keeps copies together. A picture that cannot be
    read is left to those who decode it.
    """
    training = _by_file_name(parts.train)
    return [
        sample.name
        for sample in (*parts.validation, *parts.test)
        if _digest(sample) in _digests(training.get(_file_name(sample), ()))
    ]


def warning_of(found: Sequence[str]) -> str:
    """What a person is told."""
    return (
        f"{len(found)} pictures are in the training part and in the one that it is measured on, so its metric says too "
        f"much: {', '.join(found[:5])}"
    )


def _by_file_name(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[_file_name(sample)].append(sample)
    return found


def _file_name(sample: Sample) -> str:
    return PurePosixPath(sample.name).name


def _digests(samples: Iterable[Sample]) -> set[str]:
    return {_digest(sample) for sample in samples} - {""}


def _digest(sample: Sample) -> str:
    try:
        return hashlib.sha256(sample.read()).hexdigest()
    except OSError:
        return ""
