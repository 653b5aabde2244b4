"""Values of AutoTrain become values of a TrainingJob. One function per kind of value; which key goes where is mapping.py's.

Each takes the value and the facts, and returns the new value, as it is or in `Read` or `Doubtful`. It raises `NotUsed` when
the operator has nothing that the value could be, and `Unfit` when it should have.
"""

import os.path
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from autotrain_api.trainingjob import Task
from autotrain_cli.literals import read_literal

URI = re.compile(r"(https?|s3|gs|hf|pvc|file)://.+")
BROKEN_URI = re.compile(r"(?P<scheme>https?|s3|gs|hf|pvc)\s*(?:[=:]\s*/{1,2}|//)(?=[^/\s])")
SECRET = re.compile(r"//[^/]*:[^/]*@|[?&](api_?key|key|token|sig|signature|x-amz-signature|password)=", re.IGNORECASE)
LONGEST_NAME = 50
SIZE_STEP = 32
FLIPPED = 0.5
"""The share of pictures that the operator flips."""
LARGEST_NUMBER = 2**53
OPTIMIZERS = {"adamw": "AdamW", "adam": "AdamW", "sgd": "SGD", "momentum": "SGD", "rmsprop": "RMSprop", "lamb": "Lamb"}
SCHEDULES = {"onecycle": "OneCycle", "cosine": "Cosine", "constant": "Constant", "none": "Constant"}
INTERPOLATIONS = {"nearest": "Nearest", "bilinear": "Bilinear", "bicubic": "Bicubic", "lanczos": "Lanczos"}
LARGEST_PIXEL = 255
LAYOUT_OF_SUFFIX = {".json": "Coco", ".csv": "Csv"}


@dataclass(frozen=True)
class Facts:
    """What a conversion may know besides the value."""

    task: Task
    data_root: str | None
    """The folder that AutoTrain reads, as the config writes it."""
    home: str
    folder: str
    """Where AutoTrain is started: relative paths begin here."""


@dataclass(frozen=True)
class Read:
    """A value that is not what the config says, and why; it becomes a comment."""

    value: Any
    remark: str


@dataclass(frozen=True)
class Doubtful(Read):
    """One that a person should look at; it is also told on stderr."""


class NotUsed(Exception):  # noqa: N818 - this is no error
    """The operator has nothing that this could be."""


class Lost(NotUsed):
    """The same, and a person should know: it changes what is learned or answered."""


class Unfit(Exception):  # noqa: N818 - the config's error, not the program's
    """What would be allowed."""


def words(value: Any) -> str:
    """A text, or a number that is meant as one."""
    if not isinstance(value, str | int | float):
        raise Unfit("a text")
    return str(value).strip()


def number(value: Any, _: Facts) -> Any:
    """A number may stand in quotes."""
    found = read_literal(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unfit("a number")
    if abs(found) > LARGEST_NUMBER:
        raise Unfit(f"a number up to {LARGEST_NUMBER}")
    return found


def truth(value: Any, _: Facts) -> bool:
    meanings = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    found = meanings.get(words(value).lower())
    if found is None:
        raise Unfit("true or false")
    return found


def object_name(value: Any, _: Facts) -> str | Read:
    """A DNS label that begins with a letter."""
    plain = unicodedata.normalize("NFKD", words(value).casefold()).encode("ascii", "ignore").decode()
    name = "-".join(re.findall(r"[a-z0-9]+", plain))
    if not name:
        raise Unfit("a name with letters in it; or give --name")
    if not name[0].isalpha():
        name = f"job-{name}"
    name = name[:LONGEST_NAME].rstrip("-")
    return name if name == value else Read(name, "a name of a Kubernetes object")


def image_size(value: Any, facts: Facts) -> Any:
    """The side of a square, in pixels; detectors and segmenters need a multiple of SIZE_STEP."""
    sides = [number(side, facts) for side in (value if isinstance(value, list) and len(value) == 2 else [value])]
    size = max(sides)
    stepped = _stepped(size, facts)
    if min(sides) != size:
        return Doubtful(stepped, "the network sees a square")
    return size if stepped == size else Read(stepped, f"a multiple of {SIZE_STEP}, which {facts.task} needs")


def _stepped(size: int | float, facts: Facts) -> int | float:
    if facts.task in ("Classification", "MultiLabelClassification"):
        return size
    return -(-size // SIZE_STEP) * SIZE_STEP


def class_names(value: Any, facts: Facts) -> list[str]:
    """A list, or names with commas between."""
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list):
        raise Unfit('a list of names, as ["cat", "dog"]')
    if len(found) == 1 and facts.task in ("Classification", "MultiLabelClassification"):
        raise Lost("one name is no list of classes; they are found in the data")
    names = [words(name) for name in found]
    if len(set(names)) != len(names):
        raise Unfit("names that differ")
    return names


def validation_share(value: Any, facts: Facts) -> float | Read:
    """What `train_ratio` leaves."""
    share = float(number(value, facts))
    if share == 1:
        raise Lost("it leaves nothing to measure with; the operator holds a part out")
    if 1 < share < 100:
        return Read(round(1 - share / 100, 6), "taken as per cent")
    if not 0 < share < 1:
        raise Unfit("a number between 0 and 1")
    return round(1 - share, 6)


def patience(value: Any, facts: Facts) -> Any:
    if isinstance(value, bool) or str(value).lower() in ("true", "false"):
        raise NotUsed("it does not say after how many epochs; set training.earlyStopping.patienceEpochs")
    return number(value, facts)


def precision(value: Any, facts: Facts) -> str:
    """AutoTrain's `amp`."""
    return "Auto" if truth(value, facts) else "Float32"


def class_weights(value: Any, _: Facts) -> str:
    """By how often classes occur, or none."""
    if isinstance(value, list | dict):
        raise Lost("the operator counts how often classes occur by itself; take balanced, or leave it out")
    word = words(value).lower()
    if word in ("balanced", "true", "auto"):
        return "Balanced"
    if word in ("none", "false"):
        return "None"
    raise Unfit("balanced or none")


def flip(value: Any, facts: Facts) -> bool | Read:
    """Yes or no; timm has a share of the pictures instead."""
    try:
        return truth(value, facts)
    except Unfit:
        share = number(value, facts)
    if not 0 <= share <= 1:
        raise Unfit("true, false, or a number between 0 and 1")
    return share > 0 if share in (0, FLIPPED) else Read(True, "half of the pictures are flipped")


def interpolation(value: Any, _: Facts) -> str | Read:
    return _named(value, INTERPOLATIONS, "the operator's nearest interpolation")


def colours(value: Any, facts: Facts) -> list[float] | Read:
    """A number for each of red, green and blue, of colours from 0 to 1."""
    found = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) != len("rgb"):
        raise Unfit("three numbers, as [0.485, 0.456, 0.406]")
    numbers = [float(number(each, facts)) for each in found]
    if max(numbers) <= 1:
        return numbers
    return Doubtful([round(each / LARGEST_PIXEL, 6) for each in numbers], "taken as of colours from 0 to 255")


def optimizer(value: Any, _: Facts) -> str | Read:
    return _named(value, OPTIMIZERS, "the operator's nearest optimizer")


def schedule(value: Any, _: Facts) -> str | Read:
    return _named(value, SCHEDULES, "the operator's nearest schedule")


def _named(value: Any, names: dict[str, str], remark: str) -> str | Read:
    word = re.sub(r"[^a-z]", "", words(value).lower())
    if word not in names:
        raise Unfit(", ".join(sorted(set(names.values()))))
    return names[word] if names[word].lower() == word else Read(names[word], remark)


def policy(value: Any, _: Facts) -> str:
    """timm's `aa`."""
    return "None" if words(value).lower() in ("none", "false") else words(value)


# --- data


def data_uri(value: Any, facts: Facts) -> str | Read:
    """An address, or a path of this machine."""
    text = words(value)
    if URI.fullmatch(text):
        return Doubtful(text, "it carries a key, which all see who see the object") if SECRET.search(text) else text
    if text.startswith("www."):
        return Doubtful(f"https://{text}", "an address without a scheme, it seems")
    if broken := BROKEN_URI.match(text):
        fixed = f"{broken['scheme']}://{text[broken.end() :]}"
        return Doubtful(fixed, "a slip of the pen, it seems")
    if "://" in text:
        raise Unfit("https://, s3://, gs://, hf://, pvc:// or file:// with an archive or folder behind it")
    path = re.sub(r"^~(?=/|$)", lambda _: facts.home, text.replace("\\", "/"))
    path = re.sub(r"^(?=[A-Za-z]:/)", "/", path)
    path = os.path.normpath(os.path.join(facts.folder, path))  # noqa: PTH118 - text, not this machine's files
    return Doubtful(f"file://{path}", "a folder of this machine, which pods do not see: upload it, and give --data-uri")


def inside_data(value: Any, facts: Facts) -> str:
    """A path below AutoTrain's data folder as a path inside of the data."""
    path = PurePosixPath(words(value).replace("\\", "/"))
    if facts.data_root is not None:
        root = PurePosixPath(facts.data_root.replace("\\", "/"))
        if path.is_relative_to(root):
            path = path.relative_to(root)
        elif path.is_absolute() or ".." in path.parts or str(path).startswith("~"):
            raise Unfit(f"a path below training.dir ({facts.data_root})")
    elif path.is_absolute() or str(path).startswith("~"):
        raise Unfit("a path below training.dir, which is missing")
    if str(path) == ".":
        raise NotUsed("it is the data itself")
    return str(path)


def annotation_layout(value: Any, _: Facts) -> str:
    """By the name of an annotation file, or Voc for a folder of them."""
    suffix = PurePosixPath(words(value)).suffix.lower()
    if suffix not in LAYOUT_OF_SUFFIX:
        raise Unfit("a file ending in .json (COCO) or .csv")
    return LAYOUT_OF_SUFFIX[suffix]


def voc(_: Any, facts: Facts) -> str:
    if facts.task != "ObjectDetection":
        raise NotUsed("folders of annotations are Pascal VOC, which is for boxes")
    return "Voc"


def pictures_folder(value: Any, facts: Facts) -> Any:
    """Where the layouts look for pictures is fixed."""
    places = "beside the annotations, in the data's folder, and in images/ below these"
    try:
        found = inside_data(value, facts)
    except NotUsed:
        found = "."
    if PurePosixPath(found).name in ("", "images"):
        raise NotUsed(f"pictures are looked for {places}")
    raise Lost(f"pictures are looked for {places}; rename {found!r}")


def initial_weights(value: Any, _: Facts) -> str:
    text = words(value)
    if URI.fullmatch(text) and text.endswith(".safetensors"):
        return text
    raise NotUsed("it is a file of this machine; model.initialWeights takes the address of a .safetensors file")
