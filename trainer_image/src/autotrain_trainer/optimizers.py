"""spec.training's optimizer, weight decay and schedule, as fastai runs them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from fastai.callback.schedule import ParamScheduler, SchedCos
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam, Lamb, Optimizer, RMSProp
from torch import nn

MOMENTUM = 0.9
FINAL_SHARE = 1e-5
"""Where a cosine ends, in shares of its highest learning rate; fastai's one-cycle schedule ends there too."""


class Choice(NamedTuple):
    make: Callable[..., Optimizer]
    found_rates: tuple[float, float]
    """Where a found learning rate may lie; outside of it the finder was misled by noise."""


CHOICES = {
    "AdamW": Choice(Adam, (1e-4, 2e-2)),
    "SGD": Choice(partial(SGD, mom=MOMENTUM), (1e-3, 0.5)),
    "RMSprop": Choice(partial(RMSProp, mom=MOMENTUM), (1e-5, 2e-3)),
    "Lamb": Choice(Lamb, (1e-4, 5e-2)),
}


def optimizer_for(name: str, network: nn.Module) -> Callable[..., Optimizer]:
    """What fastai's Learner calls with the parameter groups of `network`, and with hyper-parameters.

    Weight decay is decoupled from the gradient in every optimizer (Loshchilov and Hutter, arXiv:1711.05101), so that a
    figure means the same in all. As in timm it spares biases, norms and whatever else has one axis or none, and what
    the network itself names in `no_weight_decay()`, such as embeddings of positions: these have no scale to restrain,
    and pulling them to zero only costs accuracy.
    """
    spared = _spared(network)

    def make(groups: Sequence[Sequence[nn.Parameter]], **hyper: Any) -> Optimizer:
        optimizer = CHOICES[name].make(groups, **hyper)
        for parameter in (parameter for group in groups for parameter in group):
            if parameter in spared:
                optimizer.state[parameter]["do_wd"] = False
        return optimizer

    return make


def _spared(network: nn.Module) -> set[nn.Parameter]:
    named: set[nn.Parameter] = set()
    for module in network.modules():
        if callable(list_names := getattr(module, "no_weight_decay", None)):
            wanted = set(list_names())
            named |= {parameter for name, parameter in module.named_parameters() if name in wanted}
    return named | {parameter for parameter in network.parameters() if parameter.ndim <= 1}


def fit_phase(
    learner: Learner, epochs: int, rate: float | slice, schedule: str, callbacks: Sequence[Any], **cycle: float
) -> None:
    """Train for `epochs` by a schedule that begins with them; `cycle` is for fastai's one-cycle schedule.

    OneCycle rises and falls (Smith and Topin, arXiv:1708.07120), Cosine only falls (arXiv:1608.03983).
    """
    if learner.opt is None:
        learner.create_opt()
    if schedule == "OneCycle":
        learner.fit_one_cycle(epochs, rate, cbs=callbacks, **cycle)
        return
    if schedule == "Cosine":
        learner.opt.set_hyper("lr", rate)
        highest = np.array([hyper["lr"] for hyper in learner.opt.hypers])
        callbacks = [ParamScheduler({"lr": SchedCos(highest, highest * FINAL_SHARE)}), *callbacks]
    learner.fit(epochs, rate, cbs=callbacks)
