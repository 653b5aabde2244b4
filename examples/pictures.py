"""Real pictures for the examples: handwritten digits and Fashion-MNIST, as archives to train on and files to ask about.

python examples/pictures.py digits digits.tgz --held-out pictures/
"""

import argparse
import gzip
import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

HELD_OUT = 200
FASHION_PACKAGE = "dataset-fashion-mnist"
FASHION_FOLDER = Path("usr/share/datasets/fashion-mnist")
FASHION_PICTURES = 2_000
CLOTHES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
"""Names of Fashion-MNIST's labels 0 to 9; examples/fashion-mnist/trainingjob.yaml lets the server answer with them."""


class DataError(Exception):
    """The pictures cannot be had; the message says why and what to do."""


class Picture(NamedTuple):
    pixels: np.ndarray
    label: str

    @property
    def digest(self) -> str:
        """Decides whether it is held out; the same pixels always have the same fate."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()

    def png(self) -> bytes:
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "PNG")
        return file.getvalue()


class DataSet(NamedTuple):
    archive: bytes
    """What the training pod gets."""
    held_out: list[Picture]
    """What it never sees."""


def digits(_: Path) -> DataSet:
    """1,797 handwritten digits of 8 x 8 pixels, which scikit-learn carries, as a folder per class."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = (data.images * (255 / 16)).round().astype(np.uint8)
    pictures = by_digest(Picture(image, str(label)) for image, label in zip(pixels, data.target, strict=True))
    held_out, rest = pictures[:HELD_OUT], pictures[HELD_OUT:]
    return DataSet(archive_of((f"train/{item.label}/{item.digest[:16]}.png", item.png()) for item in rest), held_out)


def fashion_mnist(downloads: Path) -> DataSet:
    """2,000 pictures of clothes, 28 x 28 pixels, in the two files of the layout Idx."""
    folder = fashion_folder(downloads)
    images = idx_array(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = idx_array(folder / "train-labels-idx1-ubyte.gz", 8)
    pictures = by_digest(Picture(image, str(label)) for image, label in zip(images, labels, strict=True))
    held_out, rest = pictures[:HELD_OUT], pictures[HELD_OUT : HELD_OUT + FASHION_PICTURES]
    image_file = struct.pack(">4I", 0x803, len(rest), 28, 28) + b"".join(item.pixels.tobytes() for item in rest)
    label_file = struct.pack(">2I", 0x801, len(rest)) + bytes(int(item.label) for item in rest)
    archive = archive_of([("train-images-idx3-ubyte", image_file), ("train-labels-idx1-ubyte", label_file)])
    return DataSet(archive, [item._replace(label=CLOTHES[int(item.label)]) for item in held_out])


DATA_SETS = {"digits": digits, "fashion-mnist": fashion_mnist}


def by_digest(pictures: Iterable[Picture]) -> list[Picture]:
    """Each picture once, in the order of its digest."""
    unique = {picture.digest: picture for picture in pictures}
    return [unique[digest] for digest in sorted(unique)]


def archive_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar.gz of (name, content); the same files give the same bytes."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def idx_array(path: Path, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)


def fashion_folder(downloads: Path, system: Path = Path("/")) -> Path:
    """The data files of Debian's package: installed, or unpacked below `downloads`, for which nobody has to be root."""
    for root in (system, downloads):
        if (root / FASHION_FOLDER).is_dir():
            return root / FASHION_FOLDER
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise DataError(
            f"Fashion-MNIST comes from the Debian package {FASHION_PACKAGE}; no {missing[0]} on this machine"
        )
    downloads.mkdir(parents=True, exist_ok=True)
    run_in(downloads, "apt-get", "download", FASHION_PACKAGE)
    for package in downloads.glob(f"{FASHION_PACKAGE}_*.deb"):
        run_in(downloads, "dpkg", "-x", package.name, ".")
    return downloads / FASHION_FOLDER


def run_in(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise DataError(
            f"`{' '.join(command)}`: {reason}\nAfter `apt-get update`, or with another mirror, it may work."
        )


def save_held_out(pictures: list[Picture], folder: Path) -> list[Path]:
    """Files called <number>-<label>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}-{picture.label}.png" for number, picture in enumerate(pictures)]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture.png())
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=DATA_SETS)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--held-out", type=Path, metavar="FOLDER", help=f"write the {HELD_OUT} held-out pictures here")
    arguments = parser.parse_args()
    try:
        data = DATA_SETS[arguments.name](Path(".demo/downloads"))
    except DataError as error:
        sys.exit(str(error))
    arguments.archive.write_bytes(data.archive)
    if arguments.held_out:
        save_held_out(data.held_out, arguments.held_out)


if __name__ == "__main__":
    main()
