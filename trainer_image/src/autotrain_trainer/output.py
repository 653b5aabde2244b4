"""Where the bundle goes, whether it is there already, and whether it can be written: known before torch is imported."""

import shutil
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.reading import BundleError, read_verified
from autotrain_trainer.failures import RunError

STORES = ("s3", "gs")


class Output(Protocol):
    """Where a run's bundle goes. The run itself writes to `folder`, and beside it to `work_folder(folder)`."""

    folder: Path

    def find_finished(self, revision: str) -> Succeeded | None:
        """The outcome of an earlier run whose verified bundle is there, or None. Raises RunError."""

    def prepare(self) -> None:
        """Make sure that the bundle can be written, and bring what earlier attempts decided. Raises RunError."""

    def keep(self, path: Path) -> None:
        """A file in the work folder is complete: later attempts are to find it. Raises RunError."""

    def publish(self) -> None:
        """The bundle in `folder` is complete: let it be found, and nothing of the way to it. Raises RunError."""


class FolderOutput:
    """A folder that the run can write to, such as one of a mounted claim: what is written there is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_finished(self, revision: str) -> Succeeded | None:
        return find_finished(self.folder, revision)

    def prepare(self) -> None:
        prepare_output(self.folder)

    def keep(self, path: Path) -> None:
        """It lies where it is kept."""

    def publish(self) -> None:
        shutil.rmtree(work_folder(self.folder), ignore_errors=True)


def output_of(run: RunConfig, work: Path) -> Output:
    """The output that `run` names; `work` is a folder of this process. Raises RunError for a URI of another kind."""
    if urlsplit(run.output_uri).scheme in STORES:
        from autotrain_trainer.store_output import StoreOutput  # obstore is for those who need it

        return StoreOutput(run.output_uri, work / "output")
    return FolderOutput(output_folder(run))


def output_folder(run: RunConfig) -> Path:
    """The bundle's folder. Raises RunError for an output that is not a file URI."""
    parts = urlsplit(run.output_uri)
    if parts.scheme != "file":
        allowed = "file://, s3:// or gs://"
        raise RunError(
            Stage.CONFIG, Reason.INVALID_SPEC, f"outputUri: {run.output_uri!r} does not begin with {allowed}"
        )
    return Path(unquote(parts.path))


def localised(run: RunConfig, output: Output) -> RunConfig:
    """The same run, which writes to the folder of `output`."""
    return run.model_copy(update={"output_uri": output.folder.absolute().as_uri()})


def work_folder(output: Path) -> Path:
    """Beside the bundle: where it is written, and what later attempts of the revision find."""
    return output.parent / f".{output.name}.work"


def find_finished(output: Path, revision: str) -> Succeeded | None:
    """The outcome of an earlier run whose verified bundle lies in `output`, or None."""
    try:
        manifest, digest = read_verified(output)
    except (BundleError, OSError):
        return None
    if manifest.revision != revision:
        return None
    return Succeeded(bundle_sha256=digest, metrics=manifest.metrics, found=True)


def prepare_output(output: Path) -> None:
    """Make sure that the bundle can be written, before anything costs time. Raises RunError."""
    probe = work_folder(output) / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise RunError(Stage.EXPORT, Reason.OUTPUT_NOT_WRITABLE, f"{output} cannot be written: {error}") from error
