"""Steps and memory of a training, by the parts that take care of them: no whole network is trained here."""

from types import SimpleNamespace

import numpy as np
import pytest

from autotrain_api.trainingjob import Training

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment'")]


def test_so_many_batches_make_a_step_and_the_rest_of_an_epoch_makes_one():
    import torch
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import SGD
    from torch.nn import functional

    from autotrain_trainer.fit import Accumulation

    numbers = torch.arange(10.0)
    batches = [numbers[start : start + 2, None] for start in range(0, 10, 2)]
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 0.5)
    weight = layer.weight.detach().clone()
    for group in (batches[:2], batches[2:4], batches[4:]) * 2:
        pictures = torch.cat(group)
        weight -= 0.001 * (2 * (weight * pictures - 1) * pictures).mean()

    loader = DataLoader([(number[None], torch.ones(1)) for number in numbers], bs=2)
    learner = Learner(DataLoaders(loader, loader), layer, functional.mse_loss, opt_func=SGD)
    with learner.no_bar(), learner.no_logging():
        learner.fit(2, lr=0.001, cbs=[Accumulation(2)])

    torch.testing.assert_close(layer.weight.detach(), weight)


def test_no_more_pictures_go_through_torch_at_once_than_have_room():
    import torch

    from autotrain_trainer.export import check_parity

    sizes = []

    class Means(torch.nn.Module):
        def forward(self, images):
            sizes.append(len(images))
            return images.float().mean(dim=(1, 2))

    means = SimpleNamespace(scores=lambda images: images.mean(axis=(1, 2), dtype=np.float32))
    for count, side in ((3, 1_500), (70, 8)):
        check_parity(Means(), means, np.ones((count, side, side, 3), np.uint8))

    assert sizes == [1, 1, 1, 64, 6]


@pytest.mark.parametrize(("batch", "seen"), [(4, {4}), (64, {16}), (1, set())])
def test_the_precision_is_tried_with_pictures_that_have_room(batch, seen):
    import torch

    from autotrain_trainer.resolved import precision_for

    sizes = set()

    class Means(torch.nn.Module):
        precision = None

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, images):
            sizes.add(len(images))
            return images.float().mean(dim=(1, 2)) * self.weight

    precision_for(Training(), Means(), 96, 96, batch)

    assert sizes == seen


def test_weights_that_two_names_share_are_written():
    import torch
    from safetensors.torch import load, save

    from autotrain_trainer.bundling import weights_of

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)).to(
        memory_format=torch.channels_last
    )
    network[1].weight = network[0].weight

    found = load(save(weights_of(network)))

    assert found.keys() == network.state_dict().keys()
    torch.testing.assert_close(found["1.weight"], network[0].weight.detach())
