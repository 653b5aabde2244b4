"""Augmentation of whole batches: one affine map for crop, flips and rotation, then colours, then erasing.

| policy | crop | flips | rotation | light | timm's policy | erasing |
|---|---|---|---|---|---|---|
| Default | yes | as asked | yes | yes | | as asked |
| None | | as asked | | | | as asked |
| timm's | yes | as asked | | with 3a | yes | as asked |
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from autotrain_api.trainingjob import Augmentation
from autotrain_server.functions import Change
from autotrain_trainer.policies import Policy

SCALE = (0.7, 1.0)
"""Side of the visible crop, in sides of the cached picture."""
ROTATION_DEGREES = 10.0
ASPECT = 0.1
LIGHT = 0.2
ERASED_SIDE = (0.1, 0.4)


class BatchAugmentation:
    """uint8 [n, H, W, 3] as cached -> uint8 [n, height, width, 3] as the model takes it. Random state is its own."""

    def __init__(
        self,
        settings: Augmentation,
        height: int,
        width: int,
        seed: int,
        policy: Policy | None = None,
        own: Change | None = None,
    ) -> None:
        """`own` is spec.augmentation.function; it comes last, picture by picture."""
        self.settings = settings
        self.policy = policy
        self.own = own
        self.lit = settings.policy == "Default" or settings.policy.startswith("3a")
        self.size = (height, width)
        self.random = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        count = len(images)
        grid = functional.affine_grid(self.maps(count), [count, 3, *self.size], align_corners=False)
        return self.finish(self.sample(images, grid))

    def sample(self, images: Tensor, grid: Tensor) -> Tensor:
        """Pixels float32 [n, 3, height, width] at the places of `grid`."""
        pixels = images.permute(0, 3, 1, 2).float()
        return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def finish(self, pixels: Tensor) -> Tensor:
        """What changes colours and no places -> uint8 [n, height, width, 3]."""
        if self.lit:
            pixels = self._light(pixels)
        if self.policy is not None:
            pixels = self.policy(_pictures(pixels)).permute(0, 3, 1, 2).float()
        if self.settings.random_erasing:
            pixels = self._erase(pixels)
        images = _pictures(pixels)
        if self.own is None:
            return images
        return torch.stack([torch.from_numpy(self.own(image.numpy())) for image in images])

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=self.random)

    def _coin(self, count: int, probability: float) -> Tensor:
        return torch.rand(count, generator=self.random) < probability

    def maps(self, count: int) -> Tensor:
        """Output -> input coordinates in -1..1, [n, 2, 3]."""
        cropped, turned = self.settings.policy != "None", self.settings.policy == "Default"
        scale = self._uniform(count, *SCALE) if cropped else torch.ones(count)
        stretch = torch.exp(self._uniform(count, -ASPECT, ASPECT)) if cropped else torch.ones(count)
        angle = (
            self._uniform(count, -ROTATION_DEGREES, ROTATION_DEGREES) * math.pi / 180 if turned else torch.zeros(count)
        )
        scale_x, scale_y = (scale * stretch).clamp(max=1.0), (scale / stretch).clamp(max=1.0)
        shift_x = (1 - scale_x) * self._uniform(count, -1, 1)
        shift_y = (1 - scale_y) * self._uniform(count, -1, 1)
        if self.settings.horizontal_flip:
            scale_x = torch.where(self._coin(count, 0.5), -scale_x, scale_x)
        if self.settings.vertical_flip:
            scale_y = torch.where(self._coin(count, 0.5), -scale_y, scale_y)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        rows = [scale_x * cosine, -scale_y * sine, shift_x, scale_x * sine, scale_y * cosine, shift_y]
        return torch.stack(rows, dim=1).view(count, 2, 3)

    def _light(self, pixels: Tensor) -> Tensor:
        shape = (len(pixels), 1, 1, 1)
        contrast = (1 + self._uniform(len(pixels), -LIGHT, LIGHT)).view(shape)
        brightness = 255 * self._uniform(len(pixels), -LIGHT, LIGHT).view(shape) / 2
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        return (pixels - mean) * contrast + mean + brightness

    def _erase(self, pixels: Tensor) -> Tensor:
        height, width = self.size
        for index in torch.nonzero(self._coin(len(pixels), self.settings.random_erasing)).flatten().tolist():
            high, wide = (self._uniform(2, *ERASED_SIDE) * torch.tensor([height, width])).long().clamp(min=1).tolist()
            top = int(torch.randint(height - high + 1, (1,), generator=self.random))
            left = int(torch.randint(width - wide + 1, (1,), generator=self.random))
            pixels[index, :, top : top + high, left : left + wide] = 128
        return pixels


def _pictures(pixels: Tensor) -> Tensor:
    """float32 [n, 3, height, width], changed -> uint8 [n, height, width, 3]."""
    return pixels.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
