"""Is every class where it must be? In the training part to be learned, and in another one to be measured. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from autotrain_api.names import Reason
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.data.samples import Sample

SHOWN = 5
"""How many names a message lists."""
LabelsOf = Callable[[Sample], Iterable[str]]


def check_coverage(pictures: PictureSet, classes: Sequence[str], labels_of: LabelsOf) -> str:
    """What is not known of some classes, in words, or "". Raises RunError when one cannot be learned.

    Classes that only spec.data.classes names are the user's choice.
    """
    others = [part for part in (pictures.validation, pictures.test) if part is not None]
    learned, measured = _counts([pictures.train], labels_of), _counts(others, labels_of)
    if unlearned := [name for name in classes if measured[name] and not learned[name]]:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{len(unlearned)} classes have no picture in the training part, so they cannot be learned: "
            f"{'; '.join(_where(name, others, labels_of) for name in unlearned[:SHOWN])}. Add pictures of them, leave "
            "them out, or divide the data in another way (spec.data.splitSeed, or a validation part of your own)",
        )
    unmeasured = [name for name in classes if learned[name] and not measured[name]]
    if not unmeasured:
        return ""
    shown = ", ".join(f"{name} ({learned[name]} to train on)" for name in unmeasured[:SHOWN])
    more = ", ..." if len(unmeasured) > SHOWN else ""
    return f"{len(unmeasured)} classes have no picture that is not trained on, so they are not measured: {shown}{more}"


def _counts(parts: Iterable[Pictures], labels_of: LabelsOf) -> Counter[str]:
    return Counter(label for part in parts for sample in part.samples for label in labels_of(sample))


def _where(name: str, parts: Iterable[Pictures], labels_of: LabelsOf) -> str:
    """The class with the pictures that have it."""
    found = [sample.name for part in parts for sample in part.samples if name in labels_of(sample)]
    return f"{name} (only {', '.join(found[:SHOWN])}{', ...' if len(found) > SHOWN else ''})"
