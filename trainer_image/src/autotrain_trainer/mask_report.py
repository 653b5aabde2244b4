"""Plots of Segmentation for the bundle's report: how good each class is, and what the masks look like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.patches import Patch
from numpy.typing import NDArray

from autotrain_server.tasks import Scores
from autotrain_server.tasks.segmentation import palette
from autotrain_trainer.data.mask_values import IGNORE, Mask
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.report import save

SHOWN = 6
NAMED = 20
OPACITY = 0.55


def plot_classes(path: Path, ious: NDArray[np.float64], names: Sequence[str]) -> None:
    """Intersection over union of each class, the best on top."""
    order = np.argsort(np.nan_to_num(ious, nan=-1), kind="stable")
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.28 * len(names)), layout="constrained")
    axes.barh([names[position] for position in order], np.nan_to_num(ious[order]), color="tab:blue")
    for row, position in enumerate(order):
        text = "does not occur" if np.isnan(ious[position]) else f"{ious[position]:.2f}"
        axes.text(0.01, row, text, va="center", fontsize=8, color="black")
    axes.set(xlim=(0, 1), xlabel="intersection over union")
    save(figure, path)


def plot_masks(path: Path, scores: Scores, pictures: Pictures, names: Sequence[str]) -> None:
    """Pictures with their true and their found masks: half of them those with the most wrong pixels."""
    wrong = ((scores[:, 0] != pictures.targets) & (pictures.targets != IGNORE)).mean(axis=(1, 2))
    worst = np.argsort(-wrong, kind="stable")[: SHOWN // 2].tolist()
    spread = np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).astype(int).tolist()
    rows = list(dict.fromkeys(worst + spread))[:SHOWN]
    figure, axes = pyplot.subplots(
        len(rows), 3, figsize=(7.5, 2.4 * len(rows) + 0.6), layout="constrained", squeeze=False
    )
    used: set[int] = set()
    for places, row in zip(axes, rows, strict=True):
        image, truth, found = pictures.pixels[row], pictures.targets[row], scores[row, 0]
        used |= set(np.unique(truth).tolist()) | set(np.unique(found).tolist())
        for place, shown in zip(places, (image, painted(image, truth), painted(image, found)), strict=True):
            place.imshow(shown)
            place.axis("off")
        places[2].set_title(f"{wrong[row]:.1%} of the pixels wrong", fontsize=8)
    for place, title in zip(axes[0], ("picture", "true", "found"), strict=True):
        place.set_title(f"{title}\n{place.get_title()}".strip(), fontsize=8)
    colours = np.array(palette()).reshape(-1, 3) / 255
    legend = [Patch(color=colours[value], label=names[value]) for value in sorted(used - {0, IGNORE})[:NAMED]]
    if legend:
        figure.legend(handles=legend, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    save(figure, path)


def painted(image: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """The picture with the colours of a mask over it; pixels of unknown class become grey."""
    colours = np.array(palette(), np.float64).reshape(-1, 3)[mask]
    colours[mask == IGNORE] = 128
    blended = (1 - OPACITY) * image + OPACITY * colours
    return np.where((mask == 0)[..., None], image, blended).astype(np.uint8)
