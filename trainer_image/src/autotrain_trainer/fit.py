"""The training loop: fastai's Learner over arrays, a frozen phase and an unfrozen one, the best epoch's weights kept."""

import contextlib
import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelBatchException, CancelFitException
from fastai.callback.schedule import valley
from fastai.callback.training import GradientAccumulation as OfPictures
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from torch import Tensor, nn

from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_trainer.averaging import Average
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.failures import RunError
from autotrain_trainer.history import History
from autotrain_trainer.model import Trainable
from autotrain_trainer.objective import Objective
from autotrain_trainer.optimizers import CHOICES, fit_phase, optimizer_for
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.resolved import PRECISIONS

BODY_SHARE = 0.1
"""Learning rate of a pretrained body, in learning rates of the head."""
FINDER_STEPS = 50
FINDER_TRIES = (1e-5, 1.0)
"""First and last learning rate of the range test."""


class Watch(Callback):  # type: ignore[misc]
    """After each step: progress and divergence. After each epoch: the metric, and the best weights."""

    order = 65

    def __init__(
        self,
        board: ProgressBoard,
        history: History,
        metric: str,
        objective: Objective,
        accumulated: int,
        judged: nn.Module,
    ) -> None:
        """`judged` is the network whose weights are validated and kept."""
        self.judged = judged
        self.board = board
        self.history = history
        self.metric = metric
        self.objective = objective
        self.validation = objective.validation()
        self.accumulated = accumulated
        self.best = (-math.inf, -math.inf)
        """Metric, and what decides between epochs in which it is the same."""
        self.weights: dict[str, Tensor] = {}
        self.done_epochs = 0

    def after_pred(self) -> None:
        if not self.training:
            self.validation.add(self.learn.pred.detach().float().cpu(), *(target.cpu() for target in self.learn.yb))

    def after_batch(self) -> None:
        if not self.training:
            return
        loss = float(self.learn.loss.detach())
        if not math.isfinite(loss):
            message = f"the loss became {loss} in epoch {self.done_epochs + 1}"
            raise RunError(Stage.TRAINING, Reason.TRAINING_DIVERGED, message)
        self.history.losses.append(loss)
        step = max(1, len(self.history.losses) // self.accumulated)
        self.board.step(self.done_epochs + 1, step, len(self.learn.xb[0]))

    def after_epoch(self) -> None:
        self.done_epochs += 1
        validation, value = self.validation.result()
        self.validation = self.objective.validation()
        training = float(np.mean(self.history.losses[-max(1, len(self.learn.dls.train)) :]))
        self.history.epochs.append({"training": training, "validation": validation, self.metric: value})
        self.board.epoch_done(
            f"epoch {self.done_epochs}: training loss {training:.4f}, validation loss {validation:.4f}, "
            f"{self.metric} {value:.4f}"
        )
        found = (value, -validation if self.objective.ties_by_loss else 0.0)
        if found > self.best:
            self.best = found
            self.history.best_epoch = self.done_epochs
            self.weights = {name: tensor.detach().clone() for name, tensor in self.judged.state_dict().items()}


class Patience(Callback):  # type: ignore[misc]
    """Ends the training when the metric was no better for so many epochs, of which the frozen ones do not count."""

    order = Watch.order + 1

    def __init__(self, board: ProgressBoard, history: History, metric: str, patience: int, frozen: int) -> None:
        self.board = board
        self.history = history
        self.metric = metric
        self.patience = patience
        self.frozen = frozen

    def after_epoch(self) -> None:
        done, best = len(self.history.epochs), self.history.best_epoch
        planned = self.frozen + self.learn.n_epoch
        waited = done - max(best, self.frozen)
        if self.patience <= waited and self.frozen < done < planned:
            self.history.ended = (
                f"stopped after epoch {done} of {planned}: {self.metric} was best in epoch {best}, "
                f"and no better in the last {waited}"
            )
            self.board.stopped(self.history.ended)
            raise CancelFitException


class Accumulation(Callback):  # type: ignore[misc]
    """So many batches make a step, and so does what an epoch has left.

    fastai's own counts pictures, over the ends of epochs and beyond the batch: steps come late then, or never.
    """

    order, run_valid = OfPictures.order, False

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def after_loss(self) -> None:
        first = self.learn.iter - self.learn.iter % self.batches
        self.together = min(self.batches, self.learn.n_iter - first)
        self.learn.loss_grad /= self.together

    def before_step(self) -> None:
        self.learn.loss_grad *= self.together  # what is written down is the loss of the batch
        done = self.learn.iter + 1
        if done % self.batches and done < self.learn.n_iter:
            raise CancelBatchException


def train(
    ready: Prepared, run: RunConfig, micro: int, board: ProgressBoard, work: Path, decided: Callable[[], None]
) -> History:
    """Train `ready.network` in place; it ends with the weights of the best epoch. Raises RunError.

    At most `micro` pictures go through the network at once; the rest of the batch is accumulated.
    `decided` is called once everything in `ready.resolved` is decided, before the first step.
    """
    settings, pretrained = run.recipe.training, run.recipe.model.starts_trained
    network, objective, resolved = ready.network, ready.objective, ready.resolved
    history = History()
    accumulated = math.ceil(resolved.batch_size / micro)
    micro = math.ceil(resolved.batch_size / accumulated)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learner = make_learner(network.to(device), ready.pictures, objective, run, micro, work)
    if resolved.learning_rate is None:
        board.say("looking for the learning rate")
        resolved.learning_rate, history.finder = find_learning_rate(learner, CHOICES[settings.optimizer].found_rates)
    decided()
    network.precision = PRECISIONS[resolved.precision]
    frozen = settings.freeze_epochs if pretrained else 0
    average = Average(network, settings.ema_decay) if settings.ema_decay else None
    judged = average.network if average else network
    watch = Watch(board, history, run.gate_metric, objective, accumulated, judged)
    callbacks: list[Any] = [watch, *([average] if average else [])]
    if settings.early_stopping is not None:
        patience = settings.early_stopping.patience_epochs
        callbacks.append(Patience(board, history, run.gate_metric, patience, frozen))
    if accumulated > 1:
        callbacks.append(Accumulation(accumulated))
    epochs = frozen + settings.epochs
    board.begin(epochs, epochs * math.ceil(len(learner.dls.train) / accumulated))
    rate = resolved.learning_rate
    with learner.no_bar(), learner.no_logging():
        if frozen:
            learner.freeze()
            fit_phase(learner, frozen, rate, settings.schedule, callbacks, pct_start=0.5)
            learner.unfreeze()
        rates = slice(rate * BODY_SHARE, rate) if pretrained else rate
        fit_phase(learner, settings.epochs, rates, settings.schedule, callbacks)
    network.precision = None
    network.load_state_dict(watch.weights)
    network.to("cpu").eval()
    return history


def make_learner(
    network: Trainable, pictures: PictureSet, objective: Objective, run: RunConfig, batch: int, work: Path
) -> Learner:
    """A Learner whose loaders cut batches out of the arrays."""
    settings = run.recipe.training
    seed = settings.seed
    loaders = DataLoaders(
        array_loader(pictures.train, objective, batch, seed, training=True),
        array_loader(pictures.validation, objective, batch, seed, training=False),
        path=work,
    )
    loaders.to(next(network.parameters()).device)
    return Learner(
        loaders,
        network,
        loss_func=objective.loss,
        opt_func=optimizer_for(settings.optimizer, network),
        splitter=lambda trained: trained.groups(),
        wd=settings.weight_decay,
        path=work,
        train_bn=True,
    )


def array_loader(pictures: Pictures, objective: Objective, batch: int, seed: int, training: bool) -> DataLoader:
    """A fastai loader of whole batches: no work per picture."""

    def gather(rows: list[int]) -> tuple[Tensor, ...]:
        images, target = objective.batch(pictures, paired(rows) if training else rows, training)
        return (images, *target)

    loader = DataLoader(
        list(range(len(pictures))),
        bs=batch,
        shuffle=training,
        drop_last=training and len(pictures) > batch,
        create_item=lambda index: index,
        create_batch=gather,
        num_workers=0,
    )
    loader.n_inp = 1  # what follows the pictures in a batch is the target
    loader.rng.seed(seed)
    return loader


def paired(rows: Sequence[int]) -> list[int]:
    """A single picture goes twice, which changes no mean: batch normalisation of one value is no value."""
    return [*rows] * 2 if len(rows) == 1 else [*rows]


def find_learning_rate(
    learner: Learner, allowed: tuple[float, float]
) -> tuple[float, tuple[list[float], list[float], float]]:
    """Leslie Smith's range test (arXiv:1506.01186) with fastai's `valley`; weights are restored afterwards."""
    before = copy.deepcopy(learner.model.state_dict())
    found = math.sqrt(math.prod(allowed))
    with (
        learner.no_bar(),
        learner.no_logging(),
        contextlib.suppress(
            IndexError
        ),  # too few losses to see a valley: the first ones may be those of empty pictures
    ):
        found = float(learner.lr_find(*FINDER_TRIES, FINDER_STEPS, show_plot=False, suggest_funcs=(valley,)).valley)
    learner.model.load_state_dict(before)
    learner.create_opt()
    rate = float(f"{np.clip(found, *allowed):.3g}")
    recorder = learner.recorder
    return rate, ([float(rate) for rate in recorder.lrs], [float(loss) for loss in recorder.losses], rate)
