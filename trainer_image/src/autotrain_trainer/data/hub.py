"""Data of the Hugging Face hub: hf://datasets/owner/name[@revision][/path], hf://owner/name[@revision]/path for models.

A branch is resolved to a commit first, so that all files are of one state. HF_TOKEN and HF_ENDPOINT count.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from autotrain_api.names import Reason
from autotrain_trainer.data.fetch import Report, Told, check_name, check_room, failure, persist

AT_ONCE = 8
OWN_CACHE = ".cache"
"""Where huggingface_hub keeps its books beside the files."""
PLACE = re.compile(
    r"hf://(?:(?P<kind>datasets|models)/)?(?P<repo>(?!datasets/|models/|spaces/)[^/@]+/[^/@]+)"
    r"(?:@(?P<revision>[^/]+))?(?:/(?P<path>.*))?"
)
NO_HUB = ("UnsupportedProtocol", "TooManyRedirects")
"""Types of huggingface_hub's HTTP client: what it cannot even ask."""
FORM = "hf://datasets/owner/name[@revision][/path] or hf://owner/name[@revision][/path]"


class Repo(NamedTuple):
    """A repository of the hub at one commit."""

    uri: str
    api: HfApi
    name: str
    kind: str
    """dataset or model"""
    commit: str


@dataclass(frozen=True)
class HubFiles:
    """One file of a repository, or all below a folder."""

    repo: Repo
    path: str
    """Of the file or folder in the repository; empty: all of it."""
    files: Sequence[RepoFile]

    @property
    def version(self) -> str:
        """The commit, of which place."""
        return f"{self.repo.kind} {self.repo.name} {self.repo.commit} {self.path}"

    def bring(self, target: Path, report: Report) -> Path:
        """To the file or folder `target`; files that are there already stay. Raises RunError."""
        partial = target.parent / f"{target.name}.{hashlib.sha256(self.version.encode()).hexdigest()[:12]}.partial"
        partial.mkdir(parents=True, exist_ok=True)
        told = Told(sum(one.size for one in self.files), report)
        check_room(sum(one.size for one in self.files), partial, self.repo.uri)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hub") as threads:
            try:
                list(threads.map(lambda one: self._bring_one(one, partial, told), self.files))
            except BaseException:
                told.stop()
                threads.shutdown(cancel_futures=True)
                raise
        shutil.rmtree(partial / OWN_CACHE, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        (partial / self.path if self.path else partial).rename(target)
        shutil.rmtree(partial, ignore_errors=True)
        return target

    def _bring_one(self, one: RepoFile, folder: Path, told: Told) -> None:
        there: list[int] = []

        def once() -> None:
            with refusals(self.repo.uri):
                self.repo.api.hf_hub_download(
                    self.repo.name,
                    one.path,
                    repo_type=self.repo.kind,
                    revision=self.repo.commit,
                    local_dir=folder,
                    tqdm_class=counting(told.add),
                )
            self._verify(one, folder / one.path)
            there.append(one.size)

        persist(once, lambda: sum(there), f"{self.repo.uri} ({one.path})", told.report)

    def _verify(self, one: RepoFile, path: Path) -> None:
        """Raises ConnectionError, after which it is fetched again."""
        found = path.stat().st_size
        wanted = one.lfs.sha256 if one.lfs else None
        if found == one.size and wanted in (None, _sha256(path)):
            return
        path.unlink()
        raise ConnectionError(f"{found} of {one.size} bytes arrived" if found != one.size else "its digest is wrong")


def counting(add: Callable[[int], None]) -> type:
    """A progress bar, as huggingface_hub wants one, that calls `add` with bytes and draws nothing."""

    class Bar:
        def __init__(self, *_: object, **__: object) -> None:
            """Whatever it is to look like."""

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def update(self, count: float | None = 1) -> None:
            add(int(count or 0))

    return Bar


def locate_in_hub(uri: str) -> HubFiles:
    """What `uri` names in the hub, at its present commit. Raises RunError."""
    place = PLACE.fullmatch(uri)
    if place is None:
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {FORM} is wanted")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    kind, name = ("dataset" if place["kind"] == "datasets" else "model"), place["repo"]
    path = unquote(place["path"] or "").strip("/")

    def once() -> HubFiles:
        with refusals(uri):
            revision = unquote(place["revision"]) if place["revision"] else None
            commit = api.repo_info(name, repo_type=kind, revision=revision).sha
            return _listed(Repo(uri, api, name, kind, str(commit)), path)

    return persist(once, lambda: 0, uri, lambda _: None)


def _listed(repo: Repo, path: str) -> HubFiles:
    """The file `path`, or all files below it. Raises RunError and what huggingface_hub raises."""
    options: dict[str, Any] = {"repo_type": repo.kind, "revision": repo.commit}
    named = repo.api.get_paths_info(repo.name, [path], **options) if path else []
    if named and isinstance(named[0], RepoFile):
        return HubFiles(repo, path, [named[0]])
    entries = repo.api.list_repo_tree(repo.name, path or None, recursive=True, **options) if named or not path else []
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    if not files:
        raise failure(Reason.DATA_NOT_FOUND, f"{repo.uri}: there is no {path or 'file'!r} in {repo.kind} {repo.name}")
    for one in files:
        check_name(one.path, repo.uri)
    return HubFiles(repo, path, files)


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """What the hub says in here: RunError when asking again is useless."""
    try:
        yield
    except LocalEntryNotFoundError as error:
        raise ConnectionError(f"the hub does not answer: {error.__cause__ or error}") from error
    except GatedRepoError as error:
        why = "access has to be asked for on its page; then HF_TOKEN in the Secret of spec.data.secretRef opens it"
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {why}") from error
    except RepositoryNotFoundError as error:
        why = "there is no such repository, or it is private and HF_TOKEN (spec.data.secretRef) does not open it"
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {why}") from error
    except RevisionNotFoundError as error:
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: there is no such revision") from error
    except (EntryNotFoundError, HFValidationError) as error:
        raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {str(error).splitlines()[0]}") from error
    except json.JSONDecodeError as error:
        raise ConnectionError("what answers does not speak as the hub does") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            why = f"access is denied ({error.response.status_code}); is HF_TOKEN right?"
            raise failure(Reason.DATA_NOT_FOUND, f"{uri}: {why}") from error
        raise
    except Exception as error:
        if type(error).__name__ in NO_HUB:
            raise failure(Reason.DATA_NOT_FOUND, f"{uri}: HF_ENDPOINT leads to no hub: {error}") from error
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
