"""What every run leaves for people, in the bundle's report/: how the training went, and a model card."""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from autotrain_api.bundle import Manifest
from autotrain_trainer.history import History

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

mpl.rcParams["text.parse_math"] = False  # a class may be called "$"
CLASSES_TOLD = 100
TOLD = ("damaged", "temperature", "calibration_error")
"""What the model card says elsewhere of what was resolved."""
PER_CLASS = "per_class.csv"
"""A table that tasks may leave in report/: the class first, its figures after it."""


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
    if history.ended:
        figure.suptitle(history.ended, fontsize=8)
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


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _words(value: object) -> str:
    """A decided value as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def class_table(report: Path) -> str:
    """The task's table of classes as Markdown; empty when there is none."""
    path = report / PER_CLASS
    if not path.is_file():
        return ""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    told = [[_name(name), *map(_figure, figures)] for name, *figures in rows[:CLASSES_TOLD]]
    lines = [header, ["---"] * len(header), *told]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    left = f"\n\n{len(rows) - CLASSES_TOLD} more are in {PER_CLASS}." if len(rows) > CLASSES_TOLD else ""
    return f"{text}{left}\n"


def _name(text: str) -> str:
    """A class, without what Markdown would take for a border or an end."""
    return text.replace("|", "\\|").replace("\n", " ")


def _figure(text: str) -> str:
    """A count as it is, a share in four digits."""
    return text if text.isdecimal() else f"{float(text):.4f}" if text else "-"


def _confidences(manifest: Manifest) -> str:
    """What is to be known of them, where the task has a temperature."""
    error = manifest.resolved.get("calibration_error")
    if error is None:
        return ""
    return (
        f"\nConfidences are those of the scores divided by a temperature of {manifest.resolved['temperature']:.4g}, "
        "chosen on the validation part. On the published pictures their expected calibration error is "
        f"{error['after']:.4f}; without it, {error['before']:.4f} (reliability.png).\n"
    )


def model_card(manifest: Manifest, damaged: Sequence[str], classes: str = "") -> str:
    """The model in words, as Markdown; `classes` is the table of classes."""
    metrics = "\n".join(
        f"| {metric.name} | {metric.value:.4f} | {metric.low:.4f} to {metric.high:.4f} | {metric.samples} |"
        for metric in manifest.metrics
    )
    resolved = "\n".join(
        f"- {name.replace('_', ' ')}: {_words(value)}" for name, value in manifest.resolved.items() if name not in TOLD
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

{classes}{_confidences(manifest)}
Lower precisions beside it:

{precisions or "- none was measured"}

Backbone `{manifest.recipe["model"]["backbone"]}`, data `{manifest.recipe["data"]["uri"]}`.

{resolved}

Damaged pictures that were left out:{left_out}
"""
