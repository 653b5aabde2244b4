"""Where the bundle goes, whether it is there already, and whether it can be written: known before torch is imported."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.reading import BundleError, read_verified
from autotrain_trainer.failures import RunError


def output_folder(run: RunConfig) -> Path:
    """The bundle's folder. Raises RunError for an output that is not a file URI."""
    parts = urlsplit(run.output_uri)
    if parts.scheme != "file":
        raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, f"outputUri: {run.output_uri!r} is not a file:// URI")
    return Path(unquote(parts.path))


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
