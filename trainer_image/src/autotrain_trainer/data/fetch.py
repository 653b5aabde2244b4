"""A data URI becomes a local folder: download with resume, check of the digest, safe extraction. Nothing about pictures."""

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
from urllib.parse import unquote, urlsplit

import aiohttp
import fsspec

from autotrain_api.names import Reason, Stage
from autotrain_trainer.failures import RunError

CHUNK = 1 << 20
DOWNLOAD_ATTEMPTS = 5
NOT_FOUND = 404
REFUSED = (401, 403, 410)
FIRST_WAIT_SECONDS = 0.5
"""Doubled before each further attempt."""
CLIENT = {"trust_env": True, "timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)}
"""A download may take hours, silence may not; HTTPS_PROXY counts."""
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
VOLUME_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
"""Not the archive's fault."""
Report = Callable[[str], None]
"""Takes what is being done, in words."""


def failure(reason: Reason, message: str) -> RunError:
    return RunError(Stage.DATA, reason, message)


def fetch(uri: str, sha256: str, work: Path, report: Report) -> Path:
    """The folder with the data behind `uri`; archives are unpacked below `work`. Raises RunError."""
    source = _local(uri, work / "download", report)
    if source.is_dir():
        if sha256:
            raise failure(Reason.DATA_DIGEST_MISMATCH, f"{uri} is a folder; spec.data.sha256 pins archives only")
        return source
    verify(source, sha256, uri, "spec.data.sha256")
    report("unpacking data")
    return unpack(source, work / "data", uri)


def fetch_file(uri: str, sha256: str, target: Path, field: str, report: Report) -> Path:
    """The one file behind `uri`, which is no archive; `field` of the spec pins its digest. Raises RunError."""
    source = _local(uri, target, report)
    if source.is_dir():
        raise failure(Reason.DATA_NOT_FOUND, f"{uri} is a folder; a file is wanted")
    verify(source, sha256, uri, field)
    return source


def _local(uri: str, target: Path, report: Report) -> Path:
    """A folder or file of this machine; what lies elsewhere is fetched to `target`. Raises RunError."""
    if urlsplit(uri).scheme in ("http", "https"):
        return download(uri, target, report)
    source = Path(unquote(urlsplit(uri).path))
    _check_source(source, uri)
    return source


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


def download(uri: str, target: Path, report: Report) -> Path:
    """Fetch `uri`, going on where a broken connection stopped. Raises RunError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    last: BaseException | None = None
    for attempt in range(DOWNLOAD_ATTEMPTS):
        if attempt:
            threading.Event().wait(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        try:
            _copy(uri, partial, report)
        except Exception as error:
            last = (isinstance(error, FileNotFoundError) and error.__cause__) or error
            if why := _refusal(last):
                raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {why}") from error
            report(f"download interrupted ({type(last).__name__}), trying again")
        else:
            partial.rename(target)
            return target
    raise failure(
        Reason.DATA_NOT_READABLE, f"{uri}: gave up after {DOWNLOAD_ATTEMPTS} attempts: {type(last).__name__}: {last}"
    )


def _refusal(error: BaseException) -> str:
    """Why asking again would not help, or nothing. fsspec says "not found" of everything; the cause knows better."""
    if isinstance(error, FileNotFoundError) or (status := getattr(error, "status", None)) == NOT_FOUND:
        return f"not found ({NOT_FOUND})"
    if isinstance(error, PermissionError):
        return "access is denied"
    return f"the server answers {status}" if status in REFUSED else ""


def _copy(uri: str, partial: Path, report: Report) -> None:
    """Append what is missing of `uri` to `partial`; start over where the server cannot seek."""
    have = partial.stat().st_size if partial.exists() else 0
    with fsspec.open(uri, "rb", client_kwargs=CLIENT) as source:
        size = getattr(source, "size", None)
        if have and source.seekable() and size:
            source.seek(have)
        else:
            have = 0
        with partial.open("ab" if have else "wb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                report(f"downloading data: {100 * have // size} %" if size else f"downloading data: {have >> 20} MiB")
    if size and have != size:
        raise ConnectionError(f"{have} of {size} bytes arrived")


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
    except (tarfile.FilterError, tarfile.LinkOutsideDestinationError) as error:
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
            _check_name(member.name, uri)
            if member.islnk() or member.issym():
                base = PurePosixPath() if member.islnk() else PurePosixPath(member.name).parent
                _check_link(member.name, base, member.linkname, uri)
            elif not (member.isfile() or member.isdir()):
                raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {member.name!r} is neither file, folder nor link")
        _check_room(sum(member.size for member in members), folder, uri)
        tar.extractall(folder, members, filter="data")


def _unzip(archive: Path, folder: Path, uri: str) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = zipped.infolist()
        for entry in entries:
            _check_name(entry.filename, uri)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {entry.filename!r} is a link")
        _check_room(sum(entry.file_size for entry in entries), folder, uri)
        zipped.extractall(folder)  # noqa: S202 - every name was checked above


def _check_name(name: str, uri: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: {name!r} lies outside of the archive")


def _check_link(name: str, base: PurePosixPath, target: str, uri: str) -> None:
    resolved = os.path.normpath(base / target)
    if PurePosixPath(target).is_absolute() or resolved.split("/", 1)[0] == "..":
        raise failure(Reason.DATA_ARCHIVE_UNSAFE, f"{uri}: the link {name!r} -> {target!r} leaves the archive")


def _check_room(size: int, folder: Path, uri: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise failure(
            Reason.DATA_ARCHIVE_INVALID, f"{uri} unpacks to {size >> 20} MiB; there is room for {free >> 20} MiB"
        )
