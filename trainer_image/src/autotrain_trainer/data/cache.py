"""Data that several runs share: fetched once into a folder that all of them mount, and only read from then on.

An entry is named by its content: the pinned digest, or the URI with the version that the place tells (ETag, commit). It is
made beside its place under a lock, and gets its name when it is whole.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_trainer.data import fetch as door
from autotrain_trainer.data.fetch import Report, failure
from autotrain_trainer.failures import RunError

MAKING = ".making"
LOCK = ".lock"
DATA = "data"
"""What an entry holds: the folder with the data."""
READ_ONLY = 0o444
CLOSED = 0o755
ANYONE = 0o666
"""Who shares a claim need not have the same user ID."""
HINT = "delete entries that no run reads, enlarge the claim, or leave spec.data.cache out"


def open_data(run: RunConfig, work: Path, report: Report) -> Path:
    """The folder with the data of `run`: from its cache, or fetched below `work`. Raises RunError."""
    data = run.recipe.data
    if run.data_cache_uri is None or door.local(run.data_uri) is not None:
        return door.fetch(run.data_uri, data.sha256, work, report)
    cache = urlsplit(run.data_cache_uri)
    if cache.scheme != "file":
        message = f"dataCacheUri: {run.data_cache_uri!r} is no folder; file:///path is wanted"
        raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, message)
    return cached(run.data_uri, data.sha256, Path(unquote(cache.path)), work, report)


def cached(uri: str, sha256: str, cache: Path, work: Path, report: Report) -> Path:
    """The entry of `uri`, made where it is missing. What tells no version is fetched below `work`. Raises RunError."""
    version = sha256 or door.locate(uri).version
    if not version:
        report("the server tells no version of the data, and spec.data.sha256 is empty: nothing is kept in the cache")
        return door.fetch(uri, sha256, work, report)
    entry = cache / key_of(uri, sha256, version)
    if (entry / DATA).is_dir():
        report(f"found the data in the cache: {entry.name}")
        return entry / DATA
    try:
        with _for_anyone(), locked(entry, report):
            if not (entry / DATA).is_dir():
                return _make(uri, sha256, entry, report)
            return entry / DATA
    except OSError as error:
        reason = Reason.DATA_NOT_READABLE
        raise failure(reason, f"the cache {cache} cannot be used: {error}; {HINT}") from error


def key_of(uri: str, sha256: str, version: str) -> str:
    """Name of an entry. A pinned archive is the same wherever it comes from."""
    content = sha256 or f"{uri}\n{version}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _make(uri: str, sha256: str, entry: Path, report: Report) -> Path:
    """Fetch and unpack it beside its place, and give it its name. Raises RunError and OSError.

    The data may have become another version since it was looked at: what was fetched gets the name of what it is.
    """
    making = entry.with_name(entry.name + MAKING)
    making.mkdir(exist_ok=True)
    version, source = door.bring(uri, making / "download", report)
    try:
        folder = door.opened(source, uri, sha256, making, report)
    except RunError:
        shutil.rmtree(making, ignore_errors=True)  # a damaged or wrong archive is not gone on with
        raise
    if folder != making / DATA:
        folder.rename(making / DATA)
    elif source.is_file():
        source.unlink()
    _close(making / DATA)
    os.sync()  # a name that outlives a lost node says that the content does
    place = entry.with_name(key_of(uri, sha256, version))
    try:
        making.rename(place)
    except OSError:
        if not (place / DATA).is_dir():
            raise
        shutil.rmtree(making)  # another run made it under its own lock
    _close_folders(place)
    return place / DATA


def _close(folder: Path) -> None:
    """Files are only read from now on, by any user."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with suppress(PermissionError):  # what a run of another user ID began belongs to it
                path.chmod(READ_ONLY)


def _close_folders(entry: Path) -> None:
    """Nothing comes or goes; not before the entry has its name, as half of one is gone on with by any user."""
    for path in (entry, *entry.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            with suppress(PermissionError):
                path.chmod(CLOSED)


@contextmanager
def _for_anyone() -> Iterator[None]:
    """What is made meanwhile may be gone on with and cleaned up by other users, whatever the umask is."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def locked(entry: Path, report: Report) -> Iterator[None]:
    """One run at a time makes an entry; what others left half made, and nobody works on, is cleaned up. Raises OSError."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry)
    with _opened(entry) as file:
        if not _try(file):
            report("another run is fetching the same data; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(entry: Path) -> None:
    """Remove what runs that ended early left of other entries."""
    for making in entry.parent.glob(f"*{MAKING}"):
        other = making.with_name(making.name.removesuffix(MAKING))
        if other == entry:
            continue
        with _opened(other) as file:
            if _try(file):
                shutil.rmtree(making, ignore_errors=True)


@contextmanager
def _opened(entry: Path) -> Iterator[int]:
    file = os.open(entry.with_name(entry.name + LOCK), os.O_RDWR | os.O_CREAT, ANYONE)
    try:
        with suppress(PermissionError):  # it is another user's, who has opened it up
            os.fchmod(file, ANYONE)
        yield file
    finally:
        os.close(file)


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
