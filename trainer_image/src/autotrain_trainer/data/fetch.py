"""A data URI becomes a local folder: fetched from where it is, compared with its digest, unpacked safely. No pictures yet.

Who knows a kind of place brings its data: web.py, stores.py, hub.py.
"""

import errno
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from autotrain_api.names import Reason, Stage
from autotrain_trainer.failures import VOLUME_ERRORS, RunError, Terminated
from autotrain_trainer.retrying import Answer, GaveUpError, retry

CHUNK = 1 << 20
DOWNLOAD_ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.5
"""Doubled before each further attempt."""
FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""What follows links safely; distributions with Python 3.11.2 do not have it."""
FILTERED: tuple[type[Exception], ...] = (tarfile.FilterError,) if FILTER else ()
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,  # a link to a member that is not there
    OSError,
    ValueError,
    RuntimeError,  # an encrypted zip, or a compression that Python does not know
)
"""What reading an archive raises when it is not whole."""
REMOTE_SCHEMES = ("http", "https", "s3", "gs", "hf")
CHANGES = 3
Report = Callable[[str], None]
"""Takes what is being done, in words."""


def failure(reason: Reason, message: str) -> RunError:
    return RunError(Stage.DATA, reason, message)


class ChangedError(Exception):
    """What is fetched became another thing meanwhile."""


class Remote(Protocol):
    """Data of another place, as it stood when it was looked at."""

    @property
    def version(self) -> str:
        """Changes with the content; empty when the place does not tell."""

    def bring(self, target: Path, report: Report) -> Path:
        """To `target`, a file or a folder; whole, or not at all. Raises RunError and ChangedError."""


def fetch(uri: str, sha256: str, work: Path, report: Report) -> Path:
    """The folder with the data behind `uri`; archives are unpacked below `work`. Raises RunError."""
    source = local(uri)
    if source is None:
        _, source = bring(uri, work / "download", report)
    return opened(source, uri, sha256, work, report)


def opened(source: Path, uri: str, sha256: str, work: Path, report: Report) -> Path:
    """A folder as it is, an archive unpacked below `work`. Raises RunError."""
    if source.is_dir():
        if sha256:
            raise failure(Reason.DATA_DIGEST_MISMATCH, f"{uri} is a folder; spec.data.sha256 pins archives only")
        return source
    verify(source, sha256, uri, "spec.data.sha256")
    report("unpacking data")
    return unpack(source, work / "data", uri)


def fetch_file(uri: str, sha256: str, target: Path, field: str, report: Report) -> Path:
    """The one file behind `uri`, which is no archive; `field` of the spec pins its digest. Raises RunError."""
    source = local(uri)
    if source is None:
        _, source = bring(uri, target, report)
    if source.is_dir():
        raise failure(Reason.DATA_NOT_FOUND, f"{uri} is a folder; a file is wanted")
    verify(source, sha256, uri, field)
    return source


def local(uri: str) -> Path | None:
    """The folder or file of this machine that `uri` names, or None when it names another place. Raises RunError."""
    try:
        scheme, _ = urlsplit(uri).scheme, urlsplit(uri).port
    except ValueError as error:
        raise failure(Reason.DATA_NOT_FOUND, f"{uri} is no URI: {error}") from error
    if scheme in REMOTE_SCHEMES:
        return None
    source = Path(unquote(urlsplit(uri).path))
    _check_source(source, uri)
    return source


def locate(uri: str) -> Remote:
    """What lies behind a URI of another place. Raises RunError."""
    match urlsplit(uri).scheme:
        case "s3" | "gs":
            from autotrain_trainer.data.stores import locate_objects  # obstore is for those who need it

            return locate_objects(uri)
        case "hf":
            from autotrain_trainer.data.hub import locate_in_hub  # as huggingface_hub is

            return locate_in_hub(uri)
        case _:
            from autotrain_trainer.data.web import locate_file

            return locate_file(uri)


def bring(uri: str, target: Path, report: Report) -> tuple[str, Path]:
    """Version and place of what `uri` names, fetched to `target`. Raises RunError."""
    for _ in range(CHANGES):
        remote = locate(uri)
        try:
            return remote.version, remote.bring(target, report)
        except ChangedError:
            report(f"{uri} changed while it was fetched; beginning again")
    raise failure(
        Reason.DATA_NOT_READABLE, f"{uri} changed {CHANGES} times while it was fetched; wait until it is written"
    )


def persist(step: Callable[[], Answer], progress: Callable[[], int], uri: str, report: Report) -> Answer:
    """What `step` returns, tried again while the place of `uri` is in trouble. Raises RunError and ChangedError.

    `progress` is the number of bytes so far: an attempt that got a good part further is not counted.
    """

    def again(error: Exception) -> None:
        report(f"download interrupted ({type(error).__name__}), trying again")

    try:
        return retry(step, DOWNLOAD_ATTEMPTS, FIRST_WAIT_SECONDS, again, (ChangedError, RunError), progress)
    except GaveUpError as error:
        raise failure(Reason.DATA_NOT_READABLE, f"{uri}: {error}") from error


def told_progress(have: int, size: int | None) -> str:
    """For `report`."""
    return f"downloading data: {100 * have // size} %" if size else f"downloading data: {have >> 20} MiB"


class Told:
    """Bytes that have come, from any thread, in words."""

    def __init__(self, size: int, report: Report) -> None:
        self.report = report
        self._size, self._have, self._lock = size, 0, threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Whoever counts on is ended by Terminated: the fetch is over, one way or the other."""
        self._stopped.set()

    def add(self, count: int) -> None:
        if self._stopped.is_set():
            raise Terminated
        with self._lock:
            self._have += count
            text = told_progress(min(self._have, self._size), self._size)
        self.report(text)


def _check_source(source: Path, uri: str) -> None:
    """A folder, or a file that can be read; a pipe or a device would be waited for without end. Raises RunError."""
    try:
        if not source.exists():
            raise failure(Reason.DATA_NOT_FOUND, f"{uri}: there is no {source}")
        if not (source.is_dir() or source.is_file()):
            raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {source} is neither a folder nor a file")
        next(source.iterdir(), None) if source.is_dir() else source.open("rb").close()
    except OSError as error:
        reason = Reason.DATA_NOT_FOUND if error.errno == errno.ENAMETOOLONG else Reason.DATA_NOT_READABLE
        raise failure(reason, f"{uri}: {error.strerror}: {source}") from error


def verify(archive: Path, sha256: str, uri: str, field: str) -> None:
    """Compare with the pinned digest, if there is one. Raises RunError."""
    if not sha256:
        return
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise failure(Reason.DATA_DIGEST_MISMATCH, f"{uri}: sha256 is {found}, {field} says {sha256}")


def unpack(archive: Path, folder: Path, uri: str) -> Path:
    """Extract a tar or zip archive below `folder`. Raises RunError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder, uri)
        elif tarfile.is_tarfile(archive):
            _untar(archive, folder, uri)
        else:
            raise failure(Reason.DATA_ARCHIVE_INVALID, f"{uri} is neither a folder nor a tar or zip archive")
    except FILTERED as error:
        raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {error}") from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno in VOLUME_ERRORS:
            raise
        raise failure(Reason.DATA_ARCHIVE_INVALID, f"{uri}: the archive is damaged: {error}") from error
    return folder


def _untar(archive: Path, folder: Path, uri: str) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            check_name(member.name, uri)
            if member.islnk() or member.issym():
                base = PurePosixPath() if member.islnk() else PurePosixPath(member.name).parent
                _check_link(member.name, base, member.linkname, uri)
            elif not (member.isfile() or member.isdir()):
                raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {member.name!r} is neither file, folder nor link")
        check_room(sum(member.size for member in members), folder, uri)
        if not FILTER and (linked := next((one.name for one in members if one.islnk() or one.issym()), None)):
            message = f"{uri}: {linked!r} is a link; to follow links safely takes Python 3.11.4 or newer"
            raise failure(Reason.DATA_ARCHIVE_UNSAFE, message)
        tar.extractall(folder, members, **FILTER)  # noqa: S202 - every name was checked above


def _unzip(archive: Path, folder: Path, uri: str) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = zipped.infolist()
        for entry in entries:
            check_name(entry.filename, uri)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {entry.filename!r} is a link")
        check_room(sum(entry.file_size for entry in entries), folder, uri)
        zipped.extractall(folder)  # noqa: S202 - every name was checked above


def check_name(name: str, uri: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {name!r} lies outside of the archive")


def _check_link(name: str, base: PurePosixPath, target: str, uri: str) -> None:
    resolved = os.path.normpath(base / target)
    if PurePosixPath(target).is_absolute() or resolved.split("/", 1)[0] == "..":
        raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: the link {name!r} -> {target!r} leaves the archive")


def check_room(size: int, folder: Path, uri: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise failure(Reason.DATA_ARCHIVE_INVALID, f"{uri} needs {size >> 20} MiB; there is room for {free >> 20} MiB")
