"""Plots and tables of tasks with labels, for the bundle's report."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

from autotrain_trainer.calibration import Bins
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.report import save

MOST_CLASSES_NAMED = 60
GRID_COLUMNS = 4
GRID_MOST = 16
TITLE_LETTERS = 34
Values = NDArray[np.float64]


def plot_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Shares of each true class, by prediction."""
    side = min(16.0, 3 + 0.35 * len(classes))
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout="compressed")
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= MOST_CLASSES_NAMED:
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= MOST_CLASSES_NAMED // 3:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    save(figure, path)


def plot_shares(path: Path, shares: Values, classes: Sequence[str], what: str) -> None:
    """A bar for each class, the best on top; of many classes the worst."""
    order = np.argsort(np.nan_to_num(shares, nan=2.0), kind="stable")[:MOST_CLASSES_NAMED]
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.28 * len(order)), layout="constrained")
    axes.barh(range(len(order)), np.nan_to_num(shares[order]), color="tab:blue")
    axes.set_yticks(range(len(order)), [classes[position] for position in order])
    for row, position in enumerate(order):
        text = "does not occur" if np.isnan(shares[position]) else f"{shares[position]:.2f}"
        axes.text(0.01, row, text, va="center", fontsize=8, color="black")
    axes.set(xlim=(0, 1), xlabel=what)
    save(figure, path)


def plot_reliability(path: Path, before: Bins, after: Bins) -> None:
    """How often a statement was right, by the confidence in it; the better calibrated, the nearer to the diagonal."""
    figure, axes = pyplot.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    for bins, what, colour in ((before, "as trained", "0.6"), (after, "as served", "tab:blue")):
        label = f"{what}, error {bins.error:.4f}"
        axes.plot(bins.confidence, bins.share, marker="o", markersize=4, color=colour, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right")
    axes.legend(loc="lower right")
    save(figure, path)


def plot_grid(path: Path, images: Sequence[NDArray[np.uint8]], titles: Sequence[str], heading: str) -> None:
    """The first pictures with a few words each."""
    shown = min(len(images), GRID_MOST)
    rows = max(1, math.ceil(shown / GRID_COLUMNS))
    figure, axes = pyplot.subplots(rows, GRID_COLUMNS, figsize=(8, 2.2 * rows + 0.4), layout="constrained")
    for place in axes.flat:
        place.axis("off")
    for place, image, title in zip(axes.flat, images[:shown], titles[:shown], strict=False):
        place.imshow(image)
        place.set_title("\n".join(_cut(line) for line in title.splitlines()), fontsize=8)
    figure.suptitle(heading)
    save(figure, path)


def _cut(line: str) -> str:
    return line if len(line) <= TITLE_LETTERS else line[: TITLE_LETTERS - 3] + "..."


def plot_mistakes(path: Path, pictures: Pictures, confidences: Values, classes: Sequence[str]) -> None:
    """The pictures in which the model believed most firmly in something wrong."""
    predicted = confidences.argmax(axis=1)
    wrong = np.flatnonzero(predicted != pictures.targets)
    worst = wrong[np.argsort(-confidences[wrong].max(axis=1), kind="stable")]
    titles = [
        f"{classes[pictures.targets[row]]} taken for\n{classes[predicted[row]]} {confidences[row].max():.2f}"
        for row in worst
    ]
    heading = f"{len(wrong)} mistakes in {len(pictures)} pictures" if len(wrong) else "no mistakes"
    plot_grid(path, [pictures.pixels[row] for row in worst[:GRID_MOST]], titles, heading)


def write_predictions(path: Path, pictures: Pictures, confidences: Values, classes: Sequence[str]) -> None:
    """One row per picture: name, label, prediction, confidence."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "prediction", "confidence"])
        for sample, row in zip(pictures.samples, confidences, strict=True):
            top = int(row.argmax())
            writer.writerow([sample.name, sample.label, classes[top], f"{row[top]:.6f}"])


def write_classes(
    path: Path, classes: Sequence[str], columns: Mapping[str, Values], support: NDArray[np.int64]
) -> None:
    """One row per class: its metrics (empty where it does not occur), and how often it is there: in pictures, or as boxes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *columns, "support"])
        for position, name in enumerate(classes):
            values = [column[position] for column in columns.values()]
            cells = ["" if np.isnan(value) else f"{value:.6f}" for value in values]
            writer.writerow([name, *cells, support[position]])
