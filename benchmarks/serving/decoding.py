"""Large pictures: this server's decoder against the naive one, turn by turn. Prints one line of JSON."""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing, read_manifest
from autotrain_server.geometry import region_of
from autotrain_server.preprocess import RESAMPLING, decode


def naive(data: bytes, preprocessing: ResolvedPreprocessing) -> np.ndarray:
    """Every pixel is decoded; the same region is then drawn at the network's size."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    region = region_of(image.width, image.height, preprocessing)
    size = (region.width, region.height)
    return np.asarray(image.resize(size, RESAMPLING[preprocessing.interpolation], box=region.box))


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1_000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--turns", type=int, required=True)
    arguments = parser.parse_args()
    preprocessing = read_manifest(arguments.bundle).preprocessing
    pictures = [path.read_bytes() for path in sorted(arguments.pictures.glob("large-*.jpg"))]
    ours, theirs = [], []
    for data in pictures * arguments.turns:
        ours.append(milliseconds(lambda data=data: decode(data, preprocessing)))
        theirs.append(milliseconds(lambda data=data: naive(data, preprocessing)))
    print(json.dumps({"server": statistics.median(ours), "naive": statistics.median(theirs)}))


if __name__ == "__main__":
    main()
