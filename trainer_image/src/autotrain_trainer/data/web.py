"""A file of a web server: https:// and http://, going on where a broken connection stopped."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import fsspec

from autotrain_api.names import Reason
from autotrain_trainer.data.fetch import CHUNK, ChangedError, Report, failure, persist, told_progress
from autotrain_trainer.retrying import Answer

NOT_FOUND = 404
REFUSED = (401, 403, 410)
CLIENT = {"trust_env": True, "timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)}
"""A download may take hours, silence may not; HTTPS_PROXY counts."""


Facts = Mapping[str, Any]
"""What a server says of a file: size, ETag, Last-Modified."""


@dataclass(frozen=True)
class WebFile:
    """A file, and what the server said of it."""

    uri: str
    facts: Facts

    @property
    def version(self) -> str:
        """By its ETag or the time of its last change; empty where the server tells neither."""
        told = self.facts.get("ETag") or self.facts.get("Last-Modified")
        return f"{told} {self.facts.get('size')}" if told else ""

    def bring(self, target: Path, report: Report) -> Path:
        """To the file `target`; goes on with what is there of the same version. Raises RunError and ChangedError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{hashlib.sha256(self.version.encode()).hexdigest()[:12]}.partial")
        for old in target.parent.glob(f"{target.name}.*.partial"):
            if old != partial or not self.version:
                old.unlink()
        asked(lambda: self._append(partial, report), lambda: size_of(partial), self.uri, report)
        partial.rename(target)
        return target

    def _append(self, partial: Path, report: Report) -> None:
        """What is missing; all of it where the server cannot seek. Raises ChangedError when it is not the same file."""
        have = size_of(partial)
        with files().open(self.uri, "rb") as source:
            size = getattr(source, "size", None)
            if have and source.seekable() and size:
                source.seek(have)
            else:
                have = 0
            with partial.open("ab" if have else "wb") as file:
                while chunk := source.read(CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    report(told_progress(have, size))
        if not is_same(self.facts, files().info(self.uri)):
            raise ChangedError
        if size and have != size:
            raise ConnectionError(f"{have} of {size} bytes arrived")


def locate_file(uri: str) -> WebFile:
    """Ask the server about it. Raises RunError."""
    return WebFile(uri, asked(lambda: files().info(uri), lambda: 0, uri, lambda _: None))


def files() -> Any:
    """fsspec's view of the web; nothing that it was told before counts."""
    return fsspec.filesystem("http", client_kwargs=CLIENT, use_listings_cache=False)


def is_same(before: Facts, after: Facts) -> bool:
    """Whether two answers are about the same content; servers behind one name may differ in one of the two marks."""
    marks = [(before.get(name), after.get(name)) for name in ("ETag", "Last-Modified")]
    told = [one == other for one, other in marks if one and other]
    return before.get("size") == after.get("size") and (not told or any(told))


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def asked(step: Callable[[], Answer], progress: Callable[[], int], uri: str, report: Report) -> Answer:
    """`persist`, but what the server refuses is not asked for again. Raises RunError and ChangedError."""

    def once() -> Answer:
        try:
            return step()
        except Exception as error:
            cause = (isinstance(error, FileNotFoundError) and error.__cause__) or error
            if why := _refusal(cause):
                raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {why}") from error
            raise cause from None

    return persist(once, progress, uri, report)


def _refusal(error: BaseException) -> str:
    """Why asking again would not help, or nothing. fsspec says "not found" of everything; the cause knows better."""
    if isinstance(error, aiohttp.TooManyRedirects):
        return "one redirect leads to the next, without end"
    if isinstance(error, aiohttp.InvalidURL):
        return f"this is no address of a web server: {error}"
    if isinstance(error, FileNotFoundError) or (status := getattr(error, "status", None)) == NOT_FOUND:
        return f"not found ({NOT_FOUND})"
    if isinstance(error, PermissionError):
        return "access is denied"
    return f"the server answers {status}" if status in REFUSED else ""
