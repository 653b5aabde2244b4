"""Moving averages of the weights during training: what is averaged is validated, chosen and exported."""

from fastai.callback.core import Callback
from timm.utils.model_ema import ModelEmaV3
from torch import nn


class Average(Callback):  # type: ignore[misc]
    """Keeps timm's exponential moving average of the network, and puts it in the network's place while validating.

    The decay rises to `decay` over the first steps (1 - (1 + step)^(-2/3)), since a short run would otherwise keep much
    of its random beginning. Floating-point buffers, the running statistics of batch norms, are averaged like the
    weights they belong to; counters are copied. There is one update for each step of the optimizer.
    """

    order = 60

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.average = ModelEmaV3(network, decay=decay, use_warmup=True)
        self.steps = 0

    @property
    def network(self) -> nn.Module:
        """The averaged copy, in evaluation mode."""
        averaged: nn.Module = self.average.module
        return averaged

    def after_step(self) -> None:
        self.steps += 1
        self.average.update(self.learn.model, step=self.steps)

    def before_validate(self) -> None:
        self.trained = self.learn.model
        self.learn.model = self.network

    def after_validate(self) -> None:
        self.learn.model = self.trained
