"""Archives as tests need them, and what is in them."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

PICTURES = {"cats/1.png": b"one", "dogs/2.png": b"two"}
LARGE = random.Random(17).randbytes(5 << 20)
"""More than one part of a download."""


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def silent(_: str) -> None:
    """Nobody listens."""


def tar_of(
    members: dict[str, bytes], mode: str = "w:gz", links: dict[str, str] | None = None, kind=tarfile.SYMTYPE
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return file.getvalue()


def zip_of(members: dict[str, bytes], link: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
        if link:
            entry = zipfile.ZipInfo("link")
            entry.external_attr = 0o120777 << 16
            zipped.writestr(entry, link)
    return file.getvalue()


BIG = tar_of({"cats/big.png": LARGE}, "w")
