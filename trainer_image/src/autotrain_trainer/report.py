"""What the run leaves for people: plots, a table of predictions and a model card, in the bundle's report/."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import Manifest
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.history import History

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

mpl.rcParams["text.parse_math"] = False  # a class may be called "$"
MOST_CLASSES_NAMED = 60
MISTAKES = 16
COLUMNS = 4


def write_curves(folder: Path, history: History) -> None:
    """How the training went."""
    folder.mkdir(parents=True, exist_ok=True)
    plot_losses(folder / "losses.png", history)
    if history.finder:
        plot_finder(folder / "learning_rate.png", *history.finder)


def plot_losses(path: Path, history: History) -> None:
    """Training loss per step, validation loss and metric per epoch."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    per_epoch = max(1, len(history.losses) // max(1, len(history.epochs)))
    steps = [per_epoch * (number + 1) for number in range(len(history.epochs))]
    metric = next(name for name in history.epochs[0] if name not in ("training", "validation"))
    axes.plot(history.losses, color="0.8", label="training loss, each step")
    axes.plot(steps, [epoch["training"] for epoch in history.epochs], label="training loss")
    axes.plot(steps, [epoch["validation"] for epoch in history.epochs], label="validation loss")
    axes.set(xlabel="step", ylabel="loss")
    right = axes.twinx()
    right.plot(steps, [epoch[metric] for epoch in history.epochs], color="tab:green", marker=".", label=metric)
    right.axvline(
        per_epoch * history.best_epoch, color="tab:green", linestyle=":", label=f"best epoch {history.best_epoch}"
    )
    right.set(ylabel=metric, ylim=(0, 1.02))
    lines = axes.get_lines() + right.get_lines()
    labels = [str(line.get_label()) for line in lines]
    figure.legend(lines, labels, loc="outside lower center", ncols=len(lines), fontsize=8, frameon=False)
    save(figure, path)


def plot_finder(path: Path, rates: list[float], losses: list[float], chosen: float) -> None:
    """The learning-rate range test and what was taken from it."""
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.semilogx(rates[: len(losses)], losses)
    axes.axvline(chosen, color="tab:red", linestyle=":", label=f"chosen: {chosen:.2g}")
    lowest, first = min(losses), losses[0]
    axes.set(xlabel="learning rate", ylabel="smoothed loss", ylim=(lowest - 0.1 * (first - lowest), None))
    if first > lowest:
        axes.set_ylim(top=first + 0.5 * (first - lowest))
    axes.legend()
    save(figure, path)


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


def plot_mistakes(path: Path, pictures: Pictures, confidences: NDArray[np.float64], classes: Sequence[str]) -> None:
    """The pictures in which the model believed most firmly in something wrong."""
    predicted = confidences.argmax(axis=1)
    wrong = np.flatnonzero(predicted != pictures.targets)
    worst = wrong[np.argsort(-confidences[wrong].max(axis=1))][:MISTAKES]
    rows = max(1, math.ceil(len(worst) / COLUMNS))
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(8, 2.2 * rows + 0.4), layout="constrained")
    for place in axes.flat:
        place.axis("off")
    for place, index in zip(axes.flat, worst, strict=False):
        place.imshow(pictures.pixels[index])
        true, said = classes[pictures.targets[index]], classes[predicted[index]]
        place.set_title(f"{true} taken for {said}\n{confidences[index].max():.2f}", fontsize=8)
    figure.suptitle(f"{len(wrong)} mistakes in {len(pictures)} pictures" if len(wrong) else "no mistakes")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def write_predictions(path: Path, pictures: Pictures, confidences: NDArray[np.float64], classes: Sequence[str]) -> None:
    """One row per picture: name, label, prediction, confidence."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "prediction", "confidence"])
        for sample, row in zip(pictures.samples, confidences, strict=True):
            top = int(row.argmax())
            writer.writerow([sample.name, sample.label, classes[top], f"{row[top]:.6f}"])


def _words(value: object) -> str:
    """A decided value as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def model_card(manifest: Manifest, damaged: Sequence[str]) -> str:
    """The model in words, as Markdown."""
    metrics = "\n".join(
        f"| {metric.name} | {metric.value:.4f} | {metric.low:.4f} to {metric.high:.4f} | {metric.samples} |"
        for metric in manifest.metrics
    )
    resolved = "\n".join(
        f"- {name.replace('_', ' ')}: {_words(value)}" for name, value in manifest.resolved.items() if name != "damaged"
    )
    precisions = "\n".join(
        f"- {record.precision} with {record.engine}: {'passed' if record.passed else 'not served'}, {record.reason}"
        for record in manifest.precisions
    )
    left_out = "".join(f"\n- {line}" for line in damaged) or " none"
    return f"""# {manifest.name}

{manifest.task}, revision {manifest.revision}, made {manifest.created}.
Classes: {", ".join(manifest.classes)}.

| metric | value | 95 % interval | pictures |
|---|---|---|---|
{metrics}

Measured through the server's own code, in Float32, on pictures that were not trained on.
Lower precisions beside it:

{precisions or "- none was measured"}

Backbone `{manifest.recipe["model"]["backbone"]}`, data `{manifest.recipe["data"]["uri"]}`.

{resolved}

Damaged pictures that were left out:{left_out}
"""
