"""How a run fails: one exception that carries stage, reason, message and hint, and the translation of foreign ones."""

import errno

from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed
from autotrain_server.functions import FunctionError

HINTS = {
    Reason.INVALID_SPEC: "Correct the field that the message names.",
    Reason.DATA_NOT_FOUND: (
        "Check spec.data.uri (or model.initialWeights.uri): does it open from inside the cluster, with the keys of "
        "spec.data.secretRef?"
    ),
    Reason.DATA_NOT_READABLE: "Check spec.data.uri and the network or volume behind it; apply again when it is back.",
    Reason.DATA_DIGEST_MISMATCH: "The archive is not the pinned one: update spec.data.sha256, or restore the archive.",
    Reason.DATA_ARCHIVE_INVALID: "Give an archive that `tar -t` or `unzip -l` can list, or a folder.",
    Reason.DATA_ARCHIVE_UNSAFE: "Pack the data again with relative paths and without links that leave the archive.",
    Reason.DATA_EMPTY: "Put pictures where spec.data.layout expects them; see spec.data.train.",
    Reason.DATA_ONE_CLASS: "A classifier needs two classes or more; check the folders or the label column.",
    Reason.DATA_DAMAGED: "Repair or remove the damaged pictures; up to 1 % are left out.",
    Reason.DATA_LAYOUT_INVALID: "Compare the data with the layout's description in the trainer's README.",
    Reason.PRETRAINED_WEIGHTS_UNAVAILABLE: (
        "Give the training pods a way to the hub (HF_ENDPOINT, HTTPS_PROXY in spec.compute.env), or set model.pretrained: false."
    ),
    Reason.INITIAL_WEIGHTS_MISMATCH: (
        "Give the weights of this backbone as safetensors, or take what fits with model.initialWeights.strict: false."
    ),
    Reason.MODEL_INVALID: "Choose another spec.model.backbone or spec.model.imageSize.",
    Reason.FUNCTION_FAILED: "Correct the function in the ConfigMap that spec.functions names, or the field that names it.",
    Reason.TRAINING_DIVERGED: "Lower spec.training.learningRate, or leave it out to have it found.",
    Reason.EXPORT_MISMATCH: "This backbone cannot be exported faithfully; choose another.",
    Reason.OUT_OF_MEMORY: "Lower spec.training.batchSize or spec.model.imageSize, or give spec.compute.resources more memory.",
    Reason.OUTPUT_NOT_WRITABLE: (
        "Check the models' volume: its size, access mode and the chart's fsGroup; of a store, spec.output.uri, and that "
        "the keys of spec.output.secretRef may list, read, write and delete there."
    ),
    Reason.BUNDLE_UNREACHABLE: "Check the network between the pods and the store of spec.output.uri.",
    Reason.TERMINATED: "The pod was stopped from outside; the operator decides whether to try again.",
}
VOLUME_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
"""Of a disk that is full, broken or closed: trying again does not help."""
USER_ERRORS = frozenset(HINTS) - {
    Reason.OUT_OF_MEMORY,
    Reason.TERMINATED,
    Reason.DATA_NOT_READABLE,
    Reason.BUNDLE_UNREACHABLE,
}
TERMINATED_CODE = 143
CRASH_CODE = 1
LARGEST_BATCH = 64
"""A batch size that is found is never larger."""
ALLOCATION_FAILED = ("can't allocate memory", "bad_alloc", "out of memory", "cannot allocate memory")


def printable(text: str) -> str:
    """Text in which bytes of a file name that are not UTF-8 are written out, since JSON cannot hold them."""
    return text.encode(errors="backslashreplace").decode()


class RunError(Exception):
    """Ends the run with an outcome that a person can act on."""

    def __init__(self, stage: Stage, reason: Reason, message: str, micro_batch_size: int | None = None) -> None:
        super().__init__(printable(message))
        self.stage = stage
        self.reason = reason
        self.micro_batch_size = micro_batch_size

    @property
    def exit_code(self) -> int:
        """65 for the user's errors, 75 for memory, else what Kubernetes takes for a crash."""
        if self.reason in USER_ERRORS:
            return ExitCode.USER_ERROR
        if self.reason == Reason.OUT_OF_MEMORY:
            return ExitCode.OUT_OF_MEMORY
        return TERMINATED_CODE if self.reason == Reason.TERMINATED else CRASH_CODE

    def outcome(self) -> Failed:
        """What goes into the termination message."""
        return Failed(
            stage=self.stage,
            reason=self.reason,
            message=str(self),
            hint=HINTS.get(self.reason, ""),
            micro_batch_size=self.micro_batch_size,
        )


class Terminated(BaseException):
    """SIGTERM: not an error of the program, so nothing but the entry point may catch it."""


def translate(error: BaseException, stage: Stage, micro_batch_size: int | None = None) -> RunError:
    """Any exception as a RunError; what nobody foresaw is a crash with its type in the message."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, Terminated):
        return RunError(stage, Reason.TERMINATED, "SIGTERM: the run was stopped before it was finished")
    if isinstance(error, FunctionError):
        return RunError(stage, Reason.FUNCTION_FAILED, str(error))
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in ALLOCATION_FAILED):
        return RunError(stage, Reason.OUT_OF_MEMORY, f"out of memory: {text}", micro_batch_size)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return RunError(stage, Reason.OUTPUT_NOT_WRITABLE, text)
    return RunError(stage, Reason.CRASHED, text)
