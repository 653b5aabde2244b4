"""Words that more than one part, the chart or a user reads: group and kinds, labels, conditions, reasons, exit codes.

A word stands here once, so that searching for it finds the API, the operator, the chart and the tests. No logic.
"""

from enum import IntEnum, StrEnum

GROUP = "autotrain.dev"
VERSION = "v1alpha1"
PLURAL = "trainingjobs"
KIND = "TrainingJob"
API_VERSION = f"{GROUP}/{VERSION}"

LABEL_JOB = f"{GROUP}/trainingjob"
"""Label of every child: the name of its TrainingJob. Watches select on its presence."""
LABEL_REVISION = f"{GROUP}/revision"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_PART_OF = "app.kubernetes.io/part-of"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
MANAGER = "autotrain-operator"
"""Field manager of server-side apply, value of the managed-by label and reporting component of events."""

ANNOTATION_RETRY = f"{GROUP}/retry"
"""Any new text here lets a revision whose verdict is a failure be tried once more."""
ANNOTATION_FUNCTIONS = f"{GROUP}/functions"
"""Digest of the own functions that a serving pod was made with; pods are replaced when they change."""
ANNOTATION_DESIRED = f"{GROUP}/desired"
"""Digest of the form in which the operator last applied a child."""

COMPONENT_TRAINING = "training"
COMPONENT_SERVING = "serving"
COMPONENT_STORAGE = "storage"

PORT = 8080
"""Port of the server's HTTP API and of the trainer's /progress."""
CONFIG_PATH = "/etc/autotrain"
MODELS_PATH = "/mnt/models"
DATA_PATH = "/mnt/data"
WEIGHTS_PATH = "/mnt/weights"
CACHE_PATH = "/mnt/cache"
FUNCTIONS_PATH = "/etc/autotrain/functions"
"""Where serving pods find their own functions."""
RUN_FILE = "run.yaml"
FUNCTIONS_FILE = "functions.py"
SERVING_FUNCTIONS_FILE = "serving_functions.py"
TERMINATION_LOG = "/dev/termination-log"
TERMINATION_BYTES = 3_500
"""Upper bound of a termination message in bytes; the kubelet cuts at 4,096."""


class Phase(StrEnum):
    """One word for people; derived from the conditions and never branched on."""

    PENDING = "Pending"
    TRAINING = "Training"
    ROLLING_OUT = "RollingOut"
    READY = "Ready"
    TRAINED = "Trained"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"
    INVALID = "Invalid"
    FAILED = "Failed"


class Condition(StrEnum):
    """Types of status.conditions. True is good, except for Stalled."""

    CONFIG_VALID = "ConfigValid"
    TRAINED = "Trained"
    GATE_PASSED = "GatePassed"
    ROLLED_OUT = "RolledOut"
    AVAILABLE = "Available"
    READY = "Ready"
    STALLED = "Stalled"


class Stage(StrEnum):
    """Where a run failed; `status.failure.stage`."""

    CONFIG = "Config"
    PENDING = "Pending"
    DATA = "Data"
    MODEL = "Model"
    TRAINING = "Training"
    EXPORT = "Export"
    GATE = "Gate"
    ROLLOUT = "Rollout"


class Reason(StrEnum):
    """CamelCase reasons of conditions, failures and events."""

    # --- progress
    RECONCILING = "Reconciling"
    VALID = "Valid"
    WAITING = "Waiting"
    PENDING = "Pending"
    TRAINING = "Training"
    RETRYING = "Retrying"
    TRAINED = "Trained"
    NO_GATE = "NoGate"
    GATE_PASSED = "GatePassed"
    ROLLING_OUT = "RollingOut"
    ROLLED_OUT = "RolledOut"
    SERVING = "Serving"
    NOT_SERVING = "NotServing"
    SERVING_DISABLED = "ServingDisabled"
    SERVING_EARLIER = "ServingEarlierRevision"
    REPLICAS_MISSING = "ReplicasMissing"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    AS_DESIRED = "AsDesired"
    # --- the user's spec or data
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_BACKBONE = "UnknownBackbone"
    UNKNOWN_REVISION = "UnknownRevision"
    DATA_NOT_FOUND = "DataNotFound"
    DATA_NOT_READABLE = "DataNotReadable"
    DATA_DIGEST_MISMATCH = "DataDigestMismatch"
    DATA_ARCHIVE_INVALID = "DataArchiveInvalid"
    DATA_ARCHIVE_UNSAFE = "DataArchiveUnsafe"
    DATA_EMPTY = "DataEmpty"
    DATA_ONE_CLASS = "DataOneClass"
    DATA_DAMAGED = "DataDamaged"
    DATA_LAYOUT_INVALID = "DataLayoutInvalid"
    PRETRAINED_WEIGHTS_UNAVAILABLE = "PretrainedWeightsUnavailable"
    INITIAL_WEIGHTS_MISMATCH = "InitialWeightsMismatch"
    MODEL_INVALID = "ModelInvalid"
    FUNCTION_FAILED = "FunctionFailed"
    TRAINING_DIVERGED = "TrainingDiverged"
    EXPORT_MISMATCH = "ExportMismatch"
    # --- the run
    OUT_OF_MEMORY = "OutOfMemory"
    OUTPUT_NOT_WRITABLE = "OutputNotWritable"
    TERMINATED = "Terminated"
    CRASHED = "Crashed"
    PREEMPTED = "Preempted"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    # --- the cluster
    FUNCTIONS_MISSING = "FunctionsMissing"
    NAME_CONFLICT = "NameConflict"
    WAITING_FOR_DELETION = "WaitingForDeletion"
    IMAGE_PULL = "ImagePullFailed"
    CONTAINER_CONFIG = "ContainerConfigError"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_NOT_BOUND = "VolumeNotBound"
    QUOTA_EXCEEDED = "QuotaExceeded"
    FORBIDDEN = "Forbidden"
    PENDING_DEADLINE = "PendingDeadlineExceeded"
    TRAIN_DEADLINE = "TrainDeadlineExceeded"
    # --- the model
    GATE_REFUSED = "GateRefused"
    BUNDLE_ALTERED = "BundleAltered"
    BUNDLE_INCOMPLETE = "BundleIncomplete"
    BUNDLE_UNREACHABLE = "BundleUnreachable"
    SCHEMA_UNSUPPORTED = "BundleSchemaUnsupported"
    CLASSES_MISMATCH = "ClassesMismatch"
    GOLDEN_MISMATCH = "GoldenMismatch"
    ENGINE_MISSING = "EngineMissing"
    PRECISION_UNAVAILABLE = "PrecisionUnavailable"
    ROLLOUT_DEADLINE = "RolloutDeadlineExceeded"
    ROLLED_BACK = "RolledBack"


class ExitCode(IntEnum):
    """Exit codes of the trainer. Any other code, or 65 without a termination message, is a crash."""

    OK = 0
    USER_ERROR = 65
    """The user's spec or data: never retried."""
    OUT_OF_MEMORY = 75
    """Out of memory: retried with half the batch."""
