"""Samples become pixels: each picture is put on its side of the split, and decoded once by the server's code.

Training pictures are kept larger than the model's input where they have the pixels, so that crops have something to choose from.
Headers of some of them tell beforehand whether they do.
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_server.engine import cpu_limit
from autotrain_server.functions import Change
from autotrain_server.geometry import region_of
from autotrain_server.preprocess import Picture, read, stored_size
from autotrain_trainer.data.fetch import Report, failure
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.room import room

Side = Literal["train", "validation", "test"]
CACHE_SCALES = (1.0, 1.5)
"""Least and most of the side of a cached training picture, in sides of the model's input."""
PROBED = 256
"""Pictures whose sizes decide between them."""
DAMAGED_SHARE = 0.01
NAMED = 5
MEMORY_SHARE = 0.4
"""Share of the container's memory that pixels may take; more goes to a file in the working folder."""
MAX_PIXELS = 500_000_000


class Targets(Protocol):
    """Keeps the targets of one side while its pictures are read, by several threads."""

    def put(self, row: int, sample: Sample, picture: Picture, preprocessing: ResolvedPreprocessing) -> None:
        """The target of the sample in `row`, for a picture that was read with `preprocessing`. Raises ValueError."""
        ...

    def collect(self, rows: Sequence[int]) -> Any:
        """The targets of these rows, in order: an array [n, ...] or a list."""
        ...


@dataclass
class Pictures:
    """One side of the data."""

    pixels: NDArray[np.uint8]
    """uint8 [n, height, width, 3]"""
    targets: Any
    """The task's own, one for each picture: int64 [n] for one label."""
    samples: list[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def chosen(self, rows: Sequence[int], pixels: NDArray[np.uint8] | None = None) -> "Pictures":
        """Some of them, copied; `pixels` are theirs where they are to be others."""
        targets = (
            self.targets[list(rows)] if isinstance(self.targets, np.ndarray) else [self.targets[row] for row in rows]
        )
        copied = self.pixels[list(rows)] if pixels is None else pixels
        return Pictures(copied, targets, [self.samples[row] for row in rows])


@dataclass
class PictureSet:
    train: Pictures
    validation: Pictures
    test: Pictures | None
    damaged: list[str]
    """Names and causes of pictures that were left out."""
    leaked: list[str] = field(default_factory=list)
    """Names of validation and test pictures whose bytes are in the training part too. The split by content keeps copies
    together; parts of the data's own, and groups, may not."""

    @property
    def published(self) -> Pictures:
        """What the published metric is measured on: the test part when there is one."""
        return self.test or self.validation


@dataclass(frozen=True)
class _Loaded:
    side: Side
    sample: Sample
    digest: bytes = b""
    """sha256 of the file"""
    error: str = ""


def load_pictures(
    parts: Parts,
    data: Data,
    preprocessing: ResolvedPreprocessing,
    work: Path,
    report: Report,
    targets_for: Callable[[int], Targets],
    change: Change | None = None,
) -> PictureSet:
    """Read, split and decode everything; `targets_for` makes room for so many targets. Raises RunError.

    `change` is the job's own preprocess_function; what it raises ends the run.
    """
    given: list[tuple[Side, Sample]] = [("train", sample) for sample in parts.train]
    given += [("validation", sample) for sample in parts.validation]
    given += [("test", sample) for sample in parts.test]
    larger = training_preprocessing(preprocessing, cache_scale(parts.train, preprocessing))
    sizes = {"train": larger, "validation": preprocessing, "test": preprocessing}
    rooms = {
        side: room((len(given), size.height, size.width, 3), np.uint8, MEMORY_SHARE, work)
        for side, size in sizes.items()
    }
    targets = {side: targets_for(len(given)) for side in sizes}

    def load(row: int) -> _Loaded:
        side, sample = given[row]
        try:
            content = sample.read()
            digest = hashlib.sha256(content).digest()
            side = side_of(sample, content, parts, data) if side == "train" else side
            picture = read(content, sizes[side], MAX_PIXELS)
            rooms[side][row] = picture.pixels if change is None else change(picture.pixels)
            targets[side].put(row, sample, picture, sizes[side])
        except (ValueError, OSError) as error:
            return _Loaded(side, sample, error=str(error))
        return _Loaded(side, sample, digest)

    loaded = _in_threads(load, len(given), report)
    damaged = check_damaged(loaded)
    sides = {side: _collect(loaded, side, room, targets[side]) for side, room in rooms.items()}
    _check_sides(sides, data)
    test = sides["test"] if len(sides["test"]) else None
    return PictureSet(sides["train"], sides["validation"], test, damaged, _leaked(loaded))


def _in_threads(load: Callable[[int], _Loaded], count: int, report: Report) -> list[_Loaded]:
    """`load` for every row, in order; what was not begun is dropped when the run is stopped."""
    loaded = []
    threads = ThreadPoolExecutor(cpu_limit())
    try:
        for item in threads.map(load, range(count)):
            loaded.append(item)
            if len(loaded) % 256 == 0:
                report(f"reading pictures: {100 * len(loaded) // count} %")
    finally:
        threads.shutdown(cancel_futures=True)
    return loaded


def side_of(sample: Sample, content: bytes, parts: Parts, data: Data) -> Side:
    """By a hash of the picture (or its group): a file keeps its side when others come, and copies never straddle."""
    what = sample.group.encode() if sample.group is not None else content
    digest = hashlib.sha256(str(data.split_seed).encode() + b":" + hashlib.sha256(what).digest()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    test = data.test_fraction if not parts.test else 0.0
    validation = data.validation_fraction if not parts.validation else 0.0
    if share < test:
        return "test"
    return "validation" if share < test + validation else "train"


def cache_scale(samples: Sequence[Sample], preprocessing: ResolvedPreprocessing) -> float:
    """What most pictures have, within CACHE_SCALES: pixels that are drawn larger than they came, and then smaller again, blur
    what the network learns, and not what it is asked about.
    """
    found = []
    for sample in samples[:: -(-len(samples) // PROBED) or 1]:
        with contextlib.suppress(ValueError, OSError):  # whoever reads the picture later tells
            width, height = stored_size(sample.read())
            region = region_of(width, height, training_preprocessing(preprocessing, 1.0))
            left, top, right, bottom = region.box
            found.append(max((right - left) / region.width, (bottom - top) / region.height))
    return float(np.clip(np.median(found), *CACHE_SCALES)) if found else CACHE_SCALES[1]


def training_preprocessing(preprocessing: ResolvedPreprocessing, scale: float) -> ResolvedPreprocessing:
    """The same geometry, larger and without the centre crop."""
    return preprocessing.model_copy(
        update={
            "height": round(preprocessing.height * scale),
            "width": round(preprocessing.width * scale),
            "crop_fraction": 1.0,
            "decode_scale": 1.0,
        }
    )


def check_damaged(loaded: Sequence[_Loaded]) -> list[str]:
    """Names of the damaged pictures. Raises RunError when there are more than DAMAGED_SHARE."""
    damaged = [f"{item.sample.name}: {item.error}" for item in loaded if item.error]
    if len(damaged) > DAMAGED_SHARE * len(loaded):
        raise failure(
            Reason.DATA_DAMAGED,
            f"{len(damaged)} of {len(loaded)} pictures are damaged, more than {DAMAGED_SHARE:.0%}: "
            f"{'; '.join(damaged[:NAMED])}",
        )
    return damaged


def _leaked(loaded: Sequence[_Loaded]) -> list[str]:
    """See PictureSet."""
    known = {item.digest for item in loaded if item.side == "train" and not item.error}
    return [item.sample.name for item in loaded if item.side != "train" and item.digest in known]


def _collect(loaded: Sequence[_Loaded], side: str, room: NDArray[np.uint8], targets: Targets) -> Pictures:
    """The pictures of one side, moved together at the front of their room."""
    rows = [row for row, item in enumerate(loaded) if item.side == side and not item.error]
    for target, row in enumerate(rows):
        room[target] = room[row]
    return Pictures(room[: len(rows)], targets.collect(rows), [loaded[row].sample for row in rows])


def _check_sides(sides: dict[str, Pictures], data: Data) -> None:
    if not len(sides["train"]) or not len(sides["validation"]):
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"too few pictures to split: {len(sides['train'])} for training, {len(sides['validation'])} for validation "
            f"(validationFraction {data.validation_fraction})",
        )
