"""What weights that were trained before are worth: EfficientNet-Lite0 on 2,000 pictures of Fashion-MNIST, three epochs."""

from pathlib import Path
from typing import Any

from benchmarks.recipes import weights
from benchmarks.recipes.comparison import Comparison, Place, Say
from benchmarks.recipes.training import train
from benchmarks.serving.figures import Bar, summary
from examples.pictures import fashion_mnist

SEEDS = (17, 18, 19)
SIZE = 96
GAIN = 0.05


def compare(place: Place, say: Say) -> Comparison:
    """Raises DataError, WeightsError, TrainingError."""
    data = kept(place.cache)
    initial = {"initialWeights": {"uri": weights.kept(place.cache).resolve().as_uri()}}
    accuracies: dict[str, list[float]] = {"from scratch": [], "ImageNet weights": []}
    for seed in SEEDS:
        for title, start in {"from scratch": {"pretrained": False}, "ImageNet weights": initial}.items():
            name = f"initial-{title}-{seed}".lower().replace(" ", "-")
            trained = train(name, spec_of(data, start, seed), place.cache)
            accuracies[title].append(trained.manifest.metrics[0].value)
            say(f"{title}, seed {seed}: accuracy {accuracies[title][-1]:.4f} after {trained.seconds:.0f} s")
    gains = [after - before for before, after in zip(*accuracies.values(), strict=True)]
    bar = Bar("gain in accuracy, the least of three seeds", True, GAIN, "", summary([min(gains)]))
    rounded = {title: [round(value, 4) for value in values] for title, values in accuracies.items()}
    return Comparison({"accuracy": rounded, "seeds": list(SEEDS), "imageSize": SIZE}, [bar])


def spec_of(data: Path, start: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "task": "Classification",
        "data": {"uri": data.resolve().as_uri(), "layout": "Idx"},
        "model": {"backbone": weights.BACKBONE, "imageSize": SIZE} | start,
        "augmentation": {"horizontalFlip": True},
        "training": {"epochs": 3, "seed": seed},
    }


def kept(cache: Path) -> Path:
    """The archive of examples/fashion-mnist below `cache`, made when it is not there. Raises DataError."""
    path = cache / "fashion-mnist-2000.tgz"
    if not path.is_file():
        unfinished = path.with_suffix(".partial")
        unfinished.write_bytes(fashion_mnist(cache / "downloads").archive)
        unfinished.rename(path)
    return path
