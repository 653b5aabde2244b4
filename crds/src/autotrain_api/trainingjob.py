"""`spec` of a TrainingJob as types. The CRD file is the source for Kubernetes; a contract test holds both together.

Only shape is checked here, as the API server does; what a value means (does this backbone exist?) is the operator's.
A field whose absence means "find it" is None; every other default stands here and in the CRD and never changes.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from autotrain_api.base import Api, Fraction, Name, Quantity, Text

Task = Literal["Classification"]
Metric = Literal["accuracy", "macroF1"]
Layout = Literal["ImageFolder", "Csv", "Idx"]
ServingPrecision = Literal["Auto", "Float32", "BFloat16", "Int8"]
REVISION_PATTERN = r"^(v1-[0-9a-f]{10})?$"
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

DataPart = Annotated[str, StringConstraints(min_length=1, max_length=512)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Percent = Annotated[float, Field(ge=0, lt=1)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
ClaimUri = Annotated[str, StringConstraints(pattern=r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?$", max_length=2048)]
AnnotationValue = Annotated[str, StringConstraints(max_length=4096)]


class Data(Api):
    uri: Annotated[str, StringConstraints(pattern=r"^(https?|pvc|file)://.+$", max_length=2048)]
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$", max_length=64)] = ""
    version: Annotated[str, StringConstraints(max_length=128)] = ""
    layout: Layout = "ImageFolder"
    train: DataPart | None = None
    validation: DataPart | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: DataPart | None = None
    test_fraction: Percent = 0
    split_seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 17
    image_column: DataPart | None = None
    label_column: DataPart | None = None
    group_column: DataPart | None = None
    classes: Annotated[list[ClassName], Field(max_length=10_000)] = []

    @model_validator(mode="after")
    def _rules(self) -> Self:
        csv = (self.image_column, self.label_column, self.group_column)
        if self.layout != "Csv" and any(column is not None for column in csv):
            raise ValueError("imageColumn, labelColumn and groupColumn go with layout Csv")
        if self.test is not None and self.test_fraction > 0:
            raise ValueError("test and testFraction exclude each other")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must be unique")
        if len(self.classes) == 1:
            raise ValueError("classes takes two or more names, or none")
        return self


class Model(Api):
    backbone: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    pretrained: bool = True
    image_size: Annotated[int, Field(ge=16, le=2048)] | None = None


class Preprocessing(Api):
    resize: Literal["CropToFill", "Squish", "Letterbox"] | None = None
    interpolation: Literal["Nearest", "Bilinear", "Bicubic", "Lanczos"] | None = None
    crop_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)] | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        return self


class Augmentation(Api):
    policy: Literal["Default", "None"] = "Default"
    horizontal_flip: bool = True
    vertical_flip: bool = False
    random_erasing: Fraction = 0


class Training(Api):
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    freeze_epochs: Annotated[int, Field(ge=0, le=10_000)] = 1
    batch_size: Annotated[int, Field(ge=2, le=65_536)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 17


class LocalReference(Api):
    name: Name


class KeyReference(Api):
    name: Name
    key: Name
    optional: bool | None = None


class FieldReference(Api):
    field_path: Name


class EnvSource(Api):
    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None
    field_ref: FieldReference | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if sum(source is not None for source in (self.secret_key_ref, self.config_map_key_ref, self.field_ref)) != 1:
            raise ValueError("valueFrom takes exactly one of secretKeyRef, configMapKeyRef and fieldRef")
        return self


class EnvVar(Api):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253)]
    value: Annotated[str, StringConstraints(max_length=32_768)] | None = None
    value_from: EnvSource | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.value is not None and self.value_from is not None:
            raise ValueError("value and valueFrom exclude each other")
        return self


class Toleration(Api):
    key: Name | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Resources(Api):
    requests: Annotated[dict[str, Quantity], Field(max_length=32)] = {}
    limits: Annotated[dict[str, Quantity], Field(max_length=32)] = {}


class PodSettings(Api):
    """What `compute` and `serving` share: where pods run and what they carry."""

    image: Annotated[str, StringConstraints(max_length=512)] = ""
    resources: Resources = Resources()
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = []
    affinity: dict[str, Any] = {}
    priority_class_name: Name = ""
    runtime_class_name: Name = ""
    service_account_name: Name = ""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] = []
    env: Annotated[list[EnvVar], Field(max_length=64)] = []
    labels: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    annotations: Annotated[dict[str, AnnotationValue], Field(max_length=32)] = {}

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({variable.name for variable in self.env}) != len(self.env):
            raise ValueError("env: names must be unique")
        if len({secret.name for secret in self.image_pull_secrets}) != len(self.image_pull_secrets):
            raise ValueError("imagePullSecrets: names must be unique")
        return self


class Compute(PodSettings):
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] | None = None


class Deadlines(Api):
    pending_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = 3_600
    train_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = 86_400
    rollout_seconds: Annotated[int, Field(ge=10, le=86_400)] = 900


class Policy(Api):
    retries: Annotated[int, Field(ge=0, le=100)] = 3
    on_out_of_memory: Literal["ReduceBatch", "Fail"] = "ReduceBatch"
    deadlines: Deadlines = Deadlines()
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400


class Storage(Api):
    size: Quantity = "10Gi"
    storage_class_name: Name = ""
    access_modes: Annotated[
        list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]], Field(min_length=1, max_length=3)
    ] = ["ReadWriteOnce"]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len(set(self.access_modes)) != len(self.access_modes):
            raise ValueError("accessModes must be unique")
        return self


class Output(Api):
    uri: ClaimUri | None = None
    storage: Storage = Storage()
    reclaim: Literal["Retain", "Delete"] = "Retain"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.uri is not None and self.reclaim == "Delete":
            raise ValueError("reclaim: Delete is for the operator's own PVC; leave out uri or keep Retain")
        return self


class Gate(Api):
    metric: Metric = "accuracy"
    min: Fraction | None = None


class Postprocessing(Api):
    labels: Annotated[dict[str, ClassName], Field(max_length=10_000)] = {}
    top_k: Annotated[int, Field(ge=1, le=1_000)] = 3


class Batching(Api):
    max_size: Annotated[int, Field(ge=1, le=256)] = 16
    max_delay_milliseconds: Annotated[int, Field(ge=0, le=1_000)] = 2


class Limits(Api):
    max_body_bytes: Quantity = "10Mi"
    max_pixels: Annotated[int, Field(ge=1, le=1_000_000_000)] = 50_000_000
    timeout_seconds: Annotated[int, Field(ge=1, le=3_600)] = 10


class Serving(PodSettings):
    enabled: bool = True
    replicas: Annotated[int, Field(ge=0, le=1_000)] = 1
    revision: Annotated[str, StringConstraints(pattern=REVISION_PATTERN, max_length=13)] = ""
    gpus: Annotated[int, Field(ge=0, le=8)] = 0
    precision: ServingPrecision = "Auto"
    batching: Batching = Batching()
    postprocessing: Postprocessing = Postprocessing()
    limits: Limits = Limits()


class Spec(Api):
    """`spec` of a TrainingJob."""

    task: Task
    suspend: bool = False
    data: Data
    model: Model
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    compute: Compute = Compute()
    policy: Policy = Policy()
    output: Output = Output()
    gate: Gate = Gate()
    serving: Serving = Serving()


class ObjectMeta(Api, extra="ignore"):
    """The part of metadata that the contract has a rule for."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=50)]
    namespace: Name | None = None
    uid: Text | None = None
    generation: int | None = None


class TrainingJob(Api):
    """A whole object; `status` is the operator's own (see `status.py`)."""

    api_version: Literal["autotrain.dev/v1alpha1"]
    kind: Literal["TrainingJob"]
    metadata: ObjectMeta
    spec: Spec
    status: dict[str, Any] | None = None
