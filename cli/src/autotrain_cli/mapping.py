"""THE TABLE: which key of AutoTrain becomes which field of a TrainingJob. How a value is converted is conversions.py's.

Rows stand in the order of the fields. Of several keys of a row the first that is there decides. To add a key: a line here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from autotrain_api.trainingjob import Task
from autotrain_cli import architectures, conversions
from autotrain_cli.conversions import Facts, number, truth

Convert = Callable[[Any, Facts], Any]


@dataclass(frozen=True)
class Row:
    field: str
    keys: tuple[str, ...]
    convert: Convert
    only: tuple[Task, ...] = ()
    """The tasks that have the field; () are all."""
    otherwise: str = ""
    """Why not for the others; absent: they have no such field."""


@dataclass(frozen=True)
class FunctionRow:
    """A key `@registry = name`; the other keys of its section are the function's arguments."""

    field: str
    registry: str
    keys: tuple[str, ...]
    arguments: str | None
    """The field of the arguments; None takes none."""
    offered: tuple[str, ...] = ()
    """Settings that the operator gives by itself to a function that asks for them."""
    serves: bool = False
    only: tuple[Task, ...] = ()

    @property
    def function_field(self) -> str:
        return self.field if self.field.endswith(".function") else f"{self.field}.function"


LABELS: tuple[Task, ...] = ("Classification", "MultiLabelClassification")
BOXES: tuple[Task, ...] = ("ObjectDetection",)
MASKS: tuple[Task, ...] = ("Segmentation",)
MARKED: tuple[Task, ...] = ("ObjectDetection", "Segmentation")
SCHEME = "training.scheme"
ANNOTATED = "the annotations say which pictures there are; AutoTrain reads this for classification only"

UNCUT = "boxes and masks are of whole pictures, of which nothing is cut off"


def _of_pictures(name: str) -> tuple[str, ...]:
    """As the model is asked comes before as it learned."""
    return tuple(f"{section}.{name}" for section in ("testing", "testing.preprocess", "training.preprocess"))


ROWS = (
    Row("metadata.name", ("project.name",), conversions.object_name),
    Row("spec.task", ("project.type", "project.task", "project.meta.task"), architectures.task),
    # --- data
    Row(
        "spec.data.uri",
        ("project.data_source_url", "project.data_source", "project.data.source", "training.dir", "project.data.root"),
        conversions.data_uri,
    ),
    Row("spec.data.layout", ("training.images_dir",), conversions.pictures_folder, MARKED),
    Row("spec.data.layout", ("training.annotations_file",), conversions.annotation_layout, MARKED),
    Row("spec.data.layout", ("training.annotations_dir",), conversions.voc, MARKED),
    Row("spec.data.train", ("training.annotations_file", "training.annotations_dir"), conversions.inside_data, MARKED),
    Row("spec.data.train", ("training.data.train_dir",), conversions.inside_data, LABELS, ANNOTATED),
    Row(
        "spec.data.validation",
        ("training.data.validation_dir", "training.data.valid_dir", "training.data.val_dir"),
        conversions.inside_data,
        LABELS,
        ANNOTATED,
    ),
    Row("spec.data.test", ("training.data.test_dir",), conversions.inside_data, LABELS, ANNOTATED),
    Row("spec.data.validationFraction", ("training.train_ratio",), conversions.validation_share),
    Row("spec.data.classes", ("project.classes", "project.meta.classes"), conversions.class_names),
    # --- model
    Row(
        "spec.model.backbone",
        ("architecture.backbone.model", "architecture.backbone", "model.architecture.backbone"),
        architectures.backbone,
    ),
    Row("spec.model.pretrained", ("architecture.pretrained", "architecture.backbone.pretrained"), truth),
    Row(
        "spec.model.imageSize",
        (
            "architecture.image_size",
            "architecture.size",
            "architecture.extra_args.img_size",
            "training.preprocess.image_size",
            "training.preprocess.size",
            "testing.preprocess.image_size",
            "testing.preprocess.size",
        ),
        conversions.image_size,
    ),
    Row(
        "spec.model.initialWeights.uri",
        (f"{SCHEME}.resume_training_from", f"{SCHEME}.initial_checkpoint"),
        conversions.initial_weights,
    ),
    Row("spec.model.detector", ("architecture.model_type",), architectures.detector, BOXES),
    Row("spec.model.decoder", ("architecture.model_type",), architectures.decoder, MASKS),
    # --- preprocessing
    Row("spec.preprocessing.interpolation", _of_pictures("interpolation"), conversions.interpolation),
    Row("spec.preprocessing.cropFraction", _of_pictures("crop_pct"), number, LABELS, UNCUT),
    Row("spec.preprocessing.mean", _of_pictures("mean"), conversions.colours),
    Row("spec.preprocessing.std", _of_pictures("std"), conversions.colours),
    # --- augmentation
    Row("spec.augmentation.policy", (f"{SCHEME}.aa",), conversions.policy, LABELS),
    Row("spec.augmentation.horizontalFlip", (f"{SCHEME}.horizontal_flip", f"{SCHEME}.hflip"), conversions.flip),
    Row("spec.augmentation.verticalFlip", (f"{SCHEME}.vertical_flip", f"{SCHEME}.vflip"), conversions.flip),
    Row("spec.augmentation.randomErasing", (f"{SCHEME}.random_erasing", f"{SCHEME}.reprob"), number),
    Row("spec.augmentation.mixup", (f"{SCHEME}.mixup",), number, LABELS),
    Row("spec.augmentation.cutmix", (f"{SCHEME}.cutmix",), number, LABELS),
    # --- training
    Row("spec.training.epochs", (f"{SCHEME}.epochs",), number),
    Row("spec.training.freezeEpochs", (f"{SCHEME}.freeze_epochs",), number),
    Row("spec.training.batchSize", (f"{SCHEME}.batch_size", f"{SCHEME}.bs"), number),
    Row("spec.training.learningRate", (f"{SCHEME}.learning_rate", f"{SCHEME}.lr"), number),
    Row("spec.training.optimizer", (f"{SCHEME}.optimizer", f"{SCHEME}.opt"), conversions.optimizer),
    Row("spec.training.weightDecay", (f"{SCHEME}.weight_decay", f"{SCHEME}.wd"), number),
    Row(
        "spec.training.schedule", (f"{SCHEME}.schedule", f"{SCHEME}.scheduler", f"{SCHEME}.sched"), conversions.schedule
    ),
    Row(
        "spec.training.labelSmoothing", (f"{SCHEME}.label_smoothing", f"{SCHEME}.smoothing"), number, (*LABELS, *MASKS)
    ),
    Row(
        "spec.training.classWeights",
        (f"{SCHEME}.class_weights", f"{SCHEME}.class_weight"),
        conversions.class_weights,
        (*LABELS, *MASKS),
    ),
    Row("spec.training.emaDecay", (f"{SCHEME}.ema_decay", f"{SCHEME}.model_ema_decay"), number),
    Row(
        "spec.training.earlyStopping.patienceEpochs",
        (f"{SCHEME}.patience", f"{SCHEME}.early_stopping", f"{SCHEME}.early_stop"),
        conversions.patience,
    ),
    Row("spec.training.precision", (f"{SCHEME}.amp",), conversions.precision),
    Row("spec.training.seed", (f"{SCHEME}.seed", "training.seed", "project.seed"), number),
    # --- serving
    Row("spec.serving.postprocessing.scoreThreshold", ("testing.detection_threshold",), number, BOXES),
    Row("spec.serving.postprocessing.nmsIou", ("testing.nms_iou_threshold",), number, BOXES),
)

SIZES = ("image_size", "size")

FUNCTIONS = (
    FunctionRow("spec.data.load", "load_function", ("*.@load_function",), "spec.data.load.args", only=LABELS),
    FunctionRow(
        "spec.model.head",
        "head",
        ("*.@head",),
        "spec.model.head.args",
        offered=("head_input_size", "in_features", "num_classes"),
        only=LABELS,
    ),
    FunctionRow(
        "spec.preprocessing.function",
        "preprocess_function",
        ("*.@preprocess_function",),
        None,
        offered=(*SIZES, "height", "width"),
        serves=True,
    ),
    FunctionRow(
        "spec.augmentation.function",
        "augmentation",
        ("training.*.@augmentations", "training.*.@augmentation"),
        None,
        offered=SIZES,
    ),
    FunctionRow(
        "spec.serving.postprocessing.function",
        "postprocess_function",
        ("*.@postprocess_function",),
        "spec.serving.postprocessing.args",
        serves=True,
    ),
)

UNUSED = (
    ("who owns the object is its namespace", ("project.owner",)),
    ("models lie in the job's output, by revision", ("project.location", "project.model_directory", "project.root")),
    ("models lie in the job's output, by revision", (f"{SCHEME}.output", f"{SCHEME}.output_path", "training.model.*")),
    ("the revision is made from the spec", ("project.version", "model.version")),
    ("classes are counted in the data", ("project.num_classes", "project.n_classes", "project.meta.num_classes")),
    ("classes are counted in the data", ("project.meta.n_classes", "model.architecture.output_classes")),
    ("there is no library per task", ("project.auto_train_lib",)),
    ("the operator knows nothing of Label Studio: export the annotations as COCO", ("label_studio*.*",)),
    ("each revision is trained from its beginning", ("online_training.*",)),
    ("the backbone says itself how many features it has", ("architecture.backbone.vector_size",)),
    ("the operator cuts from a larger picture itself", ("architecture.presize", "*.preprocess.presize")),
    ("arguments of another library's network", ("architecture.extra_args.*",)),
    ("the operator switches between mixup and cutmix itself", (f"{SCHEME}.mixup_switch_prob",)),
    (
        "pictures are not augmented when the model is asked or measured",
        ("testing.*.@augmentations", "testing.*.@augmentation"),
    ),
    ("the server batches what arrives together; see serving.batching", ("testing.batch_size",)),
    ("logs are always on", ("testing.debug",)),
    ("ids in annotation files may be any numbers", ("meta.incby1",)),
    ("loading needs no processes of its own", (f"{SCHEME}.num_workers", f"{SCHEME}.workers", "training.num_workers")),
)
"""Why -> the keys that AutoTrain has and the operator does not need."""


def reason_unused(path: str) -> str | None:
    return next((why for why, patterns in UNUSED if any(fnmatchcase(path, pattern) for pattern in patterns)), None)


def function_row(path: str) -> FunctionRow | None:
    return next((row for row in FUNCTIONS if any(fnmatchcase(path, pattern) for pattern in row.keys)), None)


def keys_of(field: str) -> tuple[str, ...]:
    """The keys that may fill a field."""
    return tuple(key for row in ROWS if row.field == field for key in row.keys)


def known_keys() -> list[str]:
    """Every key that the table names in full."""
    names = [key for row in ROWS for key in row.keys] + [key for _, keys in UNUSED for key in keys]
    return [name for name in dict.fromkeys(names) if "*" not in name]
