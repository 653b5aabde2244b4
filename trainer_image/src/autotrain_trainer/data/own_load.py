"""spec.data.load: one of the job's own functions says which pictures there are and what is in them.

It gets the configuration with AutoTrain's attribute paths, and gives fastai DataLoaders, a dict of parts, or a list.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastai.data.core import DataLoaders

from autotrain_api.names import Reason
from autotrain_api.run import RunConfig
from autotrain_server.functions import FunctionError, Own, place_of
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, VALIDATION_NAMES
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.failures import LARGEST_BATCH
from autotrain_trainer.own_functions import OwnFunctions

WANTED = (
    "it has to give fastai DataLoaders, a dict of parts (train, validation, test), or a list; parts and lists hold pairs "
    "of a picture (a path, or its bytes) and its label"
)
PART_NAMES = {"train": "train", "test": "test"} | dict.fromkeys((*VALIDATION_NAMES, "validation"), "validation")
GAPS = frozenset({"None", "nan", "NaT", "<NA>"})
"""How values that are missing are written: Python's, and those of NumPy and pandas."""

Pair = tuple[Any, Any]
Made = Callable[[str, Any, Callable[[], bytes]], Sample]
"""Name, label as the function gave it, and how to read the picture -> a sample."""


class Settings(dict[str, Any]):
    """A part of the configuration; its items are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the configuration has no {name!r} here; it has {', '.join(self)}") from None


def settings_of(run: RunConfig, folder: Path) -> Settings:
    """AutoTrain's view of a run: config.training.scheme.batch_size and so on. Paths are texts."""
    recipe = run.recipe
    data, scheme, size = recipe.data, recipe.training, recipe.model.image_size
    validation = data.validation or next(
        (name for name in VALIDATION_NAMES if (folder / name).is_dir()), VALIDATION_NAMES[0]
    )
    output = run.output_uri.removeprefix("file://")
    return Settings(
        project=Settings(
            name=run.name, type=recipe.task, classes=list(data.classes), num_classes=len(data.classes) or None
        ),
        training=Settings(
            dir=str(folder),
            train_ratio=1 - data.validation_fraction,
            data=Settings(train_dir=str(folder / (data.train or "train")), validation_dir=str(folder / validation)),
            preprocess=Settings(image_size=size, size=size),
            scheme=Settings(
                batch_size=scheme.batch_size or LARGEST_BATCH,
                epochs=scheme.epochs,
                freeze_epochs=scheme.freeze_epochs,
                lr=scheme.learning_rate,
                mixup=recipe.augmentation.mixup,
                cutmix=recipe.augmentation.cutmix,
                aa=recipe.augmentation.policy,
                output=output,
                output_path=output,
            ),
        ),
        architecture=Settings(image_size=size, size=size, backbone=Settings(model=recipe.model.backbone)),
        testing=Settings(preprocess=Settings(image_size=size, size=size)),
    )


def load_parts(own: OwnFunctions, run: RunConfig, folder: Path, make: Made) -> Parts:
    """The parts that spec.data.load gives for the data in `folder`. Raises RunError, FunctionError."""
    wanted = run.recipe.data.load
    if wanted is None or own.training is None:
        raise ValueError("the run names no load function")
    load = own.training.find("load_function", wanted.function, wanted.args)
    product = load(settings_of(run, folder))
    try:
        pairs = pairs_of(product)
    except FunctionError as error:
        raise FunctionError(f"{_beginning(load)}: {load.name} gave {error}; {WANTED}") from error
    except Exception as error:  # of a generator, and of what fetches items only when they are asked for
        place = place_of(error, load.file)
        what = f"{type(product).__name__} that cannot be read: {type(error).__name__}: {error}"
        raise FunctionError(
            f"{place if place != load.file else _beginning(load)}: {load.name} gave {what}; {WANTED}"
        ) from error
    found = {part: _samples(rows, folder, f"{load.name}, {part}", make) for part, rows in pairs.items()}
    if not found.get("train"):
        raise failure(Reason.DATA_EMPTY, f"{load.file}: {load.name} gave no pictures to train on")
    return Parts(**found)


def _beginning(own: Own) -> str:
    """The file, and the line where the function begins, as far as it is one."""
    called = own.call.func if isinstance(own.call, partial) else own.call
    code = getattr(called, "__code__", None) or getattr(type(called).__call__, "__code__", None)
    return f"{own.file}, line {code.co_firstlineno}" if code and code.co_filename == own.file else own.file


def pairs_of(product: Any) -> dict[str, list[Pair]]:
    """Part -> pictures with their labels. Raises FunctionError that says what `product` is."""
    if isinstance(product, DataLoaders):
        return {"train": _of_dataset(product, product.train_ds), "validation": _of_dataset(product, product.valid_ds)}
    if isinstance(product, Mapping):
        if unknown := [str(name) for name in product if name not in PART_NAMES]:
            raise FunctionError(f"a dict with {', '.join(unknown)}")
        return {PART_NAMES[name]: _pairs(rows, f"a dict whose {name!r} is") for name, rows in product.items()}
    return {"train": _pairs(product, "")}


def _of_dataset(loaders: DataLoaders, dataset: Any) -> list[Pair]:
    """Paths and labels of a fastai data set; its transforms are not used, the recipe has its own."""
    if not hasattr(loaders, "vocab") or not hasattr(dataset, "tls"):
        raise FunctionError("DataLoaders without classes (those of a DataBlock with CategoryBlock have them)")
    vocab = list(loaders.vocab)
    if vocab and not isinstance(vocab[0], str) and isinstance(vocab[0], Sequence):
        raise FunctionError("DataLoaders with more than one target")
    rows = [(item, dataset.tls[-1][place]) for place, item in enumerate(dataset.items)]
    if rows and not isinstance(rows[0][0], str | Path):
        raise FunctionError(f"DataLoaders whose items are {type(rows[0][0]).__name__}, not paths")
    return [
        _labelled((item, _names(target, vocab)), f"DataLoaders whose item {place}")
        for place, (item, target) in enumerate(rows)
    ]


def _names(target: Any, vocab: Sequence[Any]) -> Any:
    """A label, or the list of labels where several are marked."""
    if target.ndim == 0:
        return vocab[int(target)]
    return [vocab[place] for place in target.nonzero().flatten().tolist()]


def _pairs(rows: Any, what: str) -> list[Pair]:
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise FunctionError(f"{what} {type(rows).__name__}".strip())
    listed = list(rows)
    for place, row in enumerate(listed):
        if not isinstance(row, Sequence) or isinstance(row, str | bytes) or len(row) != 2:
            raise FunctionError(f"{what} a list whose item {place} is {row!r:.80}".strip())
        if not isinstance(row[0], str | Path | bytes):
            raise FunctionError(f"{what} a list whose item {place} has {type(row[0]).__name__} for a picture".strip())
    return [
        _labelled((row[0], row[1]), f"{what} a list whose item {place}".strip()) for place, row in enumerate(listed)
    ]


def _labelled(pair: Pair, where: str) -> Pair:
    """Raises FunctionError when a label is missing, as tables with gaps have it."""
    picture, label = pair
    labels = label if isinstance(label, list | tuple | set | frozenset) else [label]
    if gap := next((str(each) for each in labels if not isinstance(each, str) and str(each) in GAPS), None):
        raise FunctionError(
            f"{where} ({'bytes' if isinstance(picture, bytes) else str(picture)}) has {gap} for a label"
        )
    return pair


def _samples(rows: Sequence[Pair], folder: Path, where: str, make: Made) -> list[Sample]:
    """Raises RunError when pictures are missing."""
    samples, missing = [], []
    for place, (picture, label) in enumerate(rows):
        if isinstance(picture, bytes):
            samples.append(make(f"{where}[{place}]", label, partial(bytes, picture)))
            continue
        path = folder / picture
        if not path.is_file():
            missing.append(f"item {place}: {str(picture)!r}")
            continue
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        samples.append(make(name, label, path.read_bytes))
    if missing:
        message = f"{where}: {len(missing)} pictures are not there: {'; '.join(missing[:SHOWN])}"
        raise failure(Reason.DATA_LAYOUT_INVALID, message)
    return samples
