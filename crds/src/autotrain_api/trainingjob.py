"""`spec` of a TrainingJob as types. The CRD file is the source for Kubernetes; a contract test holds both together.

Only shape is checked here, as the API server does; what a value means (does this backbone exist?) is the operator's.
A field whose absence means "find it" is None; every other default stands here and in the CRD and never changes.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from autotrain_api.base import Api, DataKey, Fraction, Name, ObjectName, OptionalName, Quantity, Text
from autotrain_api.pods import PodSettings

Task = Literal["Classification", "MultiLabelClassification", "ObjectDetection", "Segmentation"]
Metric = Literal["accuracy", "macroF1", "mAP50", "mAP", "mIoU", "foregroundIoU"]
Layout = Literal["ImageFolder", "Csv", "Idx", "Coco", "Voc", "MaskPairs"]
METRICS: dict[Task, tuple[Metric, ...]] = {
    "Classification": ("accuracy", "macroF1"),
    "MultiLabelClassification": ("mAP", "macroF1"),
    "ObjectDetection": ("mAP50", "mAP"),
    "Segmentation": ("mIoU", "foregroundIoU"),
}
"""Task -> the metrics that its gate may have; the first is the default."""
LAYOUTS: dict[Task, tuple[Layout, ...]] = {
    "Classification": ("ImageFolder", "Csv", "Idx"),
    "MultiLabelClassification": ("Csv",),
    "ObjectDetection": ("Coco", "Voc", "Csv"),
    "Segmentation": ("MaskPairs", "Coco"),
}
"""Task -> the layouts that its data may have; the first is the default."""
ServingPrecision = Literal["Auto", "Float32", "BFloat16", "Int8"]
REVISION_PATTERN = r"^(v1-[0-9a-f]{10})?$"
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

DataPart = Annotated[str, StringConstraints(min_length=1, max_length=512)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Percent = Annotated[float, Field(ge=0, lt=1)]
FunctionName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
CLAIM = r"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
DataUri = Annotated[str, StringConstraints(pattern=rf"^((https?|s3|gs|hf|file)://.+|{CLAIM}(/.*)?)$", max_length=2048)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$", max_length=64)]
POLICY_PATTERN = r"^(Default|None|(rand|augmix|originalr?|v0r?|3a)(-[A-Za-z]+[0-9.]*)*)$"
BUCKET = r"(s3|gs)://[a-z0-9]([-a-z0-9._]*[a-z0-9])?"
OutputUri = Annotated[str, StringConstraints(pattern=rf"^({CLAIM}|{BUCKET})(/.*)?$", max_length=2048)]


class FunctionCall(Api):
    """One of the job's own functions, by the name that it registered under."""

    function: FunctionName
    args: dict[str, Any] = {}


class SecretReference(Api):
    name: ObjectName


class DataCache(Api):
    claim_name: ObjectName


class Data(Api):
    uri: DataUri
    secret_ref: SecretReference | None = None
    cache: DataCache | None = None
    sha256: Sha256 = ""
    version: Annotated[str, StringConstraints(max_length=128)] = ""
    layout: Layout | None = None
    train: DataPart | None = None
    validation: DataPart | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: DataPart | None = None
    test_fraction: Percent = 0
    split_seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 17
    image_column: DataPart | None = None
    label_column: DataPart | None = None
    group_column: DataPart | None = None
    label_delimiter: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    classes: Annotated[list[ClassName], Field(max_length=10_000)] = []
    load: FunctionCall | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.test is not None and self.test_fraction > 0:
            raise ValueError("test and testFraction exclude each other")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must be unique")
        return self


class InitialWeights(Api):
    """Weights to start from instead of timm's pretrained ones."""

    uri: DataUri
    sha256: Sha256 = ""
    strict: bool | None = None


class Model(Api):
    backbone: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    pretrained: bool = True
    image_size: Annotated[int, Field(ge=16, le=2048)] | None = None
    initial_weights: InitialWeights | None = None
    head: FunctionCall | None = None
    detector: Literal["FCOS"] | None = None
    decoder: Literal["DeepLabV3Plus", "FPN", "Unet"] | None = None

    @property
    def starts_trained(self) -> bool:
        """Whether the backbone begins with weights that were trained before."""
        return self.pretrained or self.initial_weights is not None


class Preprocessing(Api):
    resize: Literal["CropToFill", "Squish", "Letterbox"] | None = None
    interpolation: Literal["Nearest", "Bilinear", "Bicubic", "Lanczos"] | None = None
    crop_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)] | None = None
    function: FunctionName | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        return self


class Augmentation(Api):
    policy: Annotated[str, StringConstraints(pattern=POLICY_PATTERN, max_length=253)] = "Default"
    horizontal_flip: bool = True
    vertical_flip: bool = False
    random_erasing: Fraction = 0
    mixup: Annotated[float, Field(ge=0, le=10)] = 0
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0
    function: FunctionName | None = None


class EarlyStopping(Api):
    """Stop when the gate's metric has not become better for so many epochs."""

    patience_epochs: Annotated[int, Field(ge=1, le=10_000)]


class Training(Api):
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    freeze_epochs: Annotated[int, Field(ge=0, le=10_000)] = 1
    batch_size: Annotated[int, Field(ge=2, le=65_536)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    optimizer: Literal["AdamW", "SGD", "RMSprop", "Lamb"] = "AdamW"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    schedule: Literal["OneCycle", "Cosine", "Constant"] = "OneCycle"
    label_smoothing: Percent = 0
    class_weights: Literal["None", "Balanced"] = "None"
    ema_decay: Percent = 0
    early_stopping: EarlyStopping | None = None
    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 17


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
    storage_class_name: OptionalName = ""
    access_modes: Annotated[
        list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]], Field(min_length=1, max_length=3)
    ] = ["ReadWriteOnce"]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len(set(self.access_modes)) != len(self.access_modes):
            raise ValueError("accessModes must be unique")
        return self


class Output(Api):
    uri: OutputUri | None = None
    secret_ref: SecretReference | None = None
    storage: Storage = Storage()
    reclaim: Literal["Retain", "Delete"] = "Retain"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.uri is not None and self.reclaim == "Delete":
            raise ValueError("reclaim: Delete is for the operator's own PVC; leave out uri or keep Retain")
        if self.secret_ref is not None and (self.uri is None or self.uri.startswith("pvc:")):
            raise ValueError("secretRef goes with an s3:// or gs:// uri")
        return self


class Gate(Api):
    metric: Metric | None = None
    min: Fraction | None = None


class Postprocessing(Api):
    labels: Annotated[dict[str, ClassName], Field(max_length=10_000)] = {}
    top_k: Annotated[int, Field(ge=1, le=1_000)] = 3
    score_threshold: Fraction | None = None
    nms_iou: Fraction | None = None
    function: FunctionName | None = None
    args: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.args is not None and self.function is None:
            raise ValueError("args are those of a function; name one")
        return self


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


class FunctionsReference(Api):
    """A key of a ConfigMap that holds Python; `servingKey` is what serving pods carry, when that is another."""

    name: ObjectName
    key: DataKey | None = None
    serving_key: DataKey | None = None


class Functions(Api):
    config_map_ref: FunctionsReference


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
    functions: Functions | None = None

    @property
    def layout(self) -> Layout:
        return self.data.layout or LAYOUTS[self.task][0]

    @property
    def metric(self) -> Metric:
        """The gate's metric."""
        return self.gate.metric or METRICS[self.task][0]

    @model_validator(mode="after")
    def _rules(self) -> Self:
        data = self.data
        if self.layout not in LAYOUTS[self.task]:
            raise ValueError(f"data.layout of {self.task} is one of {', '.join(LAYOUTS[self.task])}")
        if self.metric not in METRICS[self.task]:
            raise ValueError(f"gate.metric of {self.task} is one of {', '.join(METRICS[self.task])}")
        columns = (data.image_column, data.label_column, data.group_column, data.label_delimiter)
        if self.layout != "Csv" and any(column is not None for column in columns):
            raise ValueError("data.imageColumn, labelColumn, groupColumn and labelDelimiter go with layout Csv")
        if len(data.classes) == 1 and self.task in ("Classification", "MultiLabelClassification"):
            raise ValueError("data.classes takes two or more names, or none")
        if self.functions is None and (named := sorted(self.functions_named())):
            raise ValueError(f"functions is wanted: it says where {', '.join(named)} comes from")
        return self

    def functions_named(self) -> set[str]:
        """Paths of the fields that name one of the job's own functions."""
        post = self.serving.postprocessing.function
        return self.training_functions() | ({"serving.postprocessing.function"} if post else set())

    def training_functions(self) -> set[str]:
        """Those of them that change the weights."""
        named = {
            "data.load": self.data.load,
            "model.head": self.model.head,
            "preprocessing.function": self.preprocessing.function,
            "augmentation.function": self.augmentation.function,
        }
        return {path for path, value in named.items() if value is not None}


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
