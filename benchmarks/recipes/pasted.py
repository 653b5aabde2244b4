"""Clothes of Fashion-MNIST pasted on coloured noise: pictures whose boxes and masks are known exactly.

    python -m benchmarks.recipes.pasted FOLDER --seed 17

FOLDER then holds, for train and for test, whose items come from the two disjoint parts of Fashion-MNIST:

    train/images/00000.png  RGB
    train/masks/00000.png   grey, value 0 = background, 1 to 10 = a class of CLASSES and one
    train.json              COCO: boxes, and masks as uncompressed run lengths; file names begin with train/images/

The protocol is fixed; only the seed and the counts are parameters.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from examples.pictures import CLOTHES, fashion_folder, idx_array
from numpy.typing import NDArray
from PIL import Image

CLASSES = CLOTHES
CANVAS = 128
ITEMS = (1, 4)
SIDES = (24, 56)
"""Pixels of a pasted item's square, both ends included."""
OVERLAP = 0.1
"""The largest IoU of two boxes."""
TRIES = 50
"""Places tried for an item; then the picture has one less."""
THRESHOLD = 8
"""Brighter pixels of an item belong to it; Fashion-MNIST's background is 0."""
GRID = 8
"""The background's colours change over CANVAS / GRID pixels."""
BRIGHTEST = 160
GRAIN = 20.0
COUNTS = {"train": 2_000, "test": 500}
FILES = {"train": "train", "test": "t10k"}
DOWNLOADS = Path(".cache/bench/downloads")

Pixels = NDArray[np.uint8]


class Item(NamedTuple):
    label: int
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels, the ends excluded: the extent of the item's own pixels."""
    mask: NDArray[np.bool_]
    """[CANVAS, CANVAS], what is visible of it."""


class Pasted(NamedTuple):
    pixels: Pixels
    items: list[Item]

    def classes(self) -> Pixels:
        """uint8 [CANVAS, CANVAS]: 0 background, otherwise label + 1."""
        found = np.zeros((CANVAS, CANVAS), np.uint8)
        for item in self.items:
            found[item.mask] = item.label + 1
        return found


class Clothes(NamedTuple):
    images: Pixels
    """[n, 28, 28]."""
    labels: Pixels


def clothes(part: str, downloads: Path = DOWNLOADS) -> Clothes:
    """The items of `train` or `test`. Raises examples.pictures.DataError."""
    folder = fashion_folder(downloads)
    images = idx_array(folder / f"{FILES[part]}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    return Clothes(images, idx_array(folder / f"{FILES[part]}-labels-idx1-ubyte.gz", 8))


def pictures(part: str, source: Clothes, seed: int, count: int) -> Iterator[Pasted]:
    """`count` pictures; the same arguments give the same pixels, and a picture does not depend on the count."""
    for number in range(count):
        random = np.random.default_rng([seed, list(FILES).index(part), number])
        yield picture(source, random)


def picture(source: Clothes, random: np.random.Generator) -> Pasted:
    pixels, items = background(random), list[Item]()
    for _ in range(random.integers(ITEMS[0], ITEMS[1] + 1)):
        chosen = int(random.integers(len(source.images)))
        side = int(random.integers(SIDES[0], SIDES[1] + 1))
        grey, mask = scaled(source.images[chosen], side)
        place = free_place(mask, [item.box for item in items], random)
        if place is None:
            continue
        whole, box = place
        y, x = np.nonzero(whole)
        pixels[y, x] = grey[mask][:, None]
        items = [item._replace(mask=item.mask & ~whole) for item in items]
        items.append(Item(int(source.labels[chosen]), box, whole))
    return Pasted(pixels, items)


def background(random: np.random.Generator) -> Pixels:
    """Smooth colours with grain: uint8 [CANVAS, CANVAS, 3]."""
    coarse = random.integers(0, BRIGHTEST, (GRID, GRID, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC), np.float64)
    return (smooth + random.normal(0, GRAIN, smooth.shape)).clip(0, 255).astype(np.uint8)


def scaled(item: Pixels, side: int) -> tuple[Pixels, NDArray[np.bool_]]:
    """Grey values and mask, both [side, side]."""
    grey = Image.fromarray(item).resize((side, side), Image.Resampling.BILINEAR)
    solid = Image.fromarray(np.uint8(255) * (item > THRESHOLD)).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(grey), np.asarray(solid) > 127


def free_place(
    mask: NDArray[np.bool_], taken: list[tuple[int, int, int, int]], random: np.random.Generator
) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]] | None:
    """The mask on the canvas and its box, where it overlaps no other much; None when there is no such place."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return None
    side = len(mask)
    for _ in range(TRIES):
        x, y = (int(value) for value in random.integers(0, CANVAS - side + 1, 2))
        box = (int(x + columns[0]), int(y + rows[0]), int(x + columns[-1] + 1), int(y + rows[-1] + 1))
        if all(iou(box, other) <= OVERLAP for other in taken):
            whole = np.zeros((CANVAS, CANVAS), np.bool_)
            whole[y : y + side, x : x + side] = mask
            return whole, box
    return None


def iou(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    across = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    both = across * down
    areas = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other))
    return both / (areas - both)


def annotation(number: int, image: int, item: Item) -> dict[str, Any]:
    """One entry of COCO's `annotations`."""
    x0, y0, x1, y1 = item.box
    return {
        "id": number,
        "image_id": image,
        "category_id": item.label + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(item.mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": [CANVAS, CANVAS], "counts": run_lengths(item.mask)},
    }


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, beginning with the pixels that are not in the mask."""
    flat = mask.ravel(order="F")
    changes = np.nonzero(np.diff(flat, prepend=False))[0]
    return [int(length) for length in np.diff(np.concatenate(([0], changes, [flat.size])))]


def write(folder: Path, part: str, seed: int, count: int, downloads: Path = DOWNLOADS) -> None:
    """The files of one part. Raises examples.pictures.DataError."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for kind in ("images", "masks"):
        (folder / part / kind).mkdir(parents=True, exist_ok=True)
    for number, pasted in enumerate(pictures(part, clothes(part, downloads), seed, count)):
        name = f"{number:05}.png"
        Image.fromarray(pasted.pixels).save(folder / part / "images" / name, compress_level=1)
        Image.fromarray(pasted.classes()).save(folder / part / "masks" / name, compress_level=1)
        images.append({"id": number, "file_name": f"{part}/images/{name}", "width": CANVAS, "height": CANVAS})
        for item in pasted.items:
            annotations.append(annotation(len(annotations) + 1, number, item))
    categories = [{"id": position + 1, "name": name} for position, name in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{part}.json").write_text(json.dumps(document), encoding="utf-8")


def kept(cache: Path, seed: int) -> Path:
    """The folder with both parts below `cache`, made when it is not there. Raises examples.pictures.DataError."""
    folder = cache / f"pasted-{seed}"
    if not folder.is_dir():
        unfinished = cache / f"pasted-{seed}.partial"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part, count in COUNTS.items():
            write(unfinished, part, seed, count)
        unfinished.rename(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=17)
    arguments = parser.parse_args()
    for part, count in COUNTS.items():
        write(arguments.folder, part, arguments.seed, count)


if __name__ == "__main__":
    main()
