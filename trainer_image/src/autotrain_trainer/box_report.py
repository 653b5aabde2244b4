"""What the run of a detector leaves for people: sample detections, precision over recall, a table of boxes."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from autotrain_server.tasks.boxes import Boxes
from autotrain_trainer.box_metrics import FIRST, RECALLS, Matches, average_precisions, curve
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.report import save

SAMPLES = 12
COLUMNS = 4
MOST_CURVES = 20
TRUE_COLOUR, FOUND_COLOUR = "lime", "red"


def plot_samples(path: Path, pictures: Pictures, found: Sequence[Boxes], classes: Sequence[str]) -> None:
    """True boxes dashed, found ones drawn out, on pictures spread over the part."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(SAMPLES, len(pictures))).astype(int))
    rows = math.ceil(len(chosen) / COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(12, 3.1 * rows), layout="constrained", squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, index in zip(axes.flat, chosen, strict=False):
        place.imshow(pictures.pixels[index])
        for corners in pictures.targets[index].placed:
            _frame(place, corners, TRUE_COLOUR, "--")
        for corners, score, label in zip(*found[index], strict=True):
            _frame(place, corners, FOUND_COLOUR, "-")
            text = f"{classes[int(label)]} {score:.2f}"
            place.text(corners[0], corners[1], text, fontsize=6, color="white", backgroundcolor=FOUND_COLOUR)
    figure.suptitle("true boxes dashed, found ones drawn out")
    save(figure, path)


def _frame(axes: Axes, corners: Sequence[float], colour: str, line: str) -> None:
    x0, y0, x1, y1 = (float(value) for value in corners)
    axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=line))


def plot_curves(path: Path, matches: Matches, classes: Sequence[str]) -> None:
    """Precision over recall at an IoU of 0.5, the worst classes when there are many."""
    weights = np.ones(len(matches[0].positives))
    values = average_precisions(matches, thresholds=FIRST)[:, 0]
    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for label in np.argsort(values)[:MOST_CURVES]:
        if not np.isnan(values[label]):
            axes.plot(RECALLS, curve(matches[label], weights, FIRST)[0], label=f"{classes[label]}: {values[label]:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="AP50 of each class")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    save(figure, path)


def write_boxes(path: Path, pictures: Pictures, found: Sequence[Boxes], classes: Sequence[str]) -> None:
    """One row per box: picture, label, confidence, corners in pixels of the picture."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "confidence", "xmin", "ymin", "xmax", "ymax"])
        for sample, boxes in zip(pictures.samples, found, strict=True):
            for corners, label, score in zip(boxes.corners, boxes.labels, boxes.scores, strict=True):
                place = [f"{value:.2f}" for value in corners]
                writer.writerow([sample.name, classes[int(label)], f"{score:.6f}", *place])
