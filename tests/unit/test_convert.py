"""AutoTrain configs become TrainingJobs: the table, data, refusals."""

import re
from typing import Any

import pytest
import yaml

from autotrain_api.trainingjob import TrainingJob
from autotrain_cli import mapping
from converting import DATA, FRUIT, FUNCTIONS, converted, job_of, problems_of, small, spec_of, unused

# --- the whole


def test_a_config_with_every_idiom_becomes_this_object():
    assert job_of(converted(FRUIT, functions=FUNCTIONS).text) == {
        "apiVersion": "autotrain.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "fruit-on-the-tree"},
        "spec": {
            "task": "Classification",
            "data": {
                "uri": "https://example.org/fruit.tgz?part=1",
                "train": "train",
                "validation": "held out",
                "validationFraction": 0.25,
                "classes": ["apple", "pear", "quince"],
                "load": {"function": "load_fruit"},
            },
            "model": {
                "backbone": "resnet18",
                "imageSize": 160,
                "head": {
                    "function": "two_layers",
                    "args": {"width": 512, "num_classes": 3, "names": ["apple", "pear", "quince"]},
                },
            },
            "preprocessing": {"function": "no_shadows"},
            "augmentation": {"policy": "rand-m9-mstd0.5", "mixup": 0.4},
            "training": {
                "epochs": 4,
                "freezeEpochs": 2,
                "batchSize": 16,
                "learningRate": 0.001,
                "optimizer": "SGD",
                "precision": "Float32",
            },
            "serving": {
                "postprocessing": {"function": "in_german", "args": {"names": {"apple": "Apfel", "pear": "Birne"}}}
            },
            "functions": {
                "configMapRef": {
                    "name": "fruit-on-the-tree-functions",
                    "key": "custom_functions.py",
                    "servingKey": "serving_functions.py",
                }
            },
        },
    }


def test_the_config_map_stands_first_and_holds_the_file_with_one_line_changed():
    config_map, job = yaml.safe_load_all(converted(FRUIT, functions=FUNCTIONS).text)
    before = (DATA / "fruit_functions.py.txt").read_text().splitlines()
    after = config_map["data"]["custom_functions.py"].splitlines()

    assert config_map["metadata"]["name"] == job["spec"]["functions"]["configMapRef"]["name"]
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ("from torch_snippets.registry import registry", "from autotrain_server.functions import registry")
    ]


def test_every_key_is_a_field_or_has_a_reason():
    text = converted(FRUIT, functions=FUNCTIONS).text
    section, keys = "", []
    for line in FRUIT.splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        if found := re.match(r"([@\w]+)\s*[=:]", line):
            keys.append(f"{section}.{found[1]}")
    mapped = set(re.findall(r"# line \d+: (\S+?)(?: is |$)", text, re.MULTILINE))
    listed = set(re.findall(r"^#   line \d+: (\S+) = .*: not used, because ", text, re.MULTILINE))

    assert mapped | listed == set(keys)
    assert mapped & listed == set()


def test_comments_stay_with_their_fields():
    text = converted(FRUIT, functions=FUNCTIONS).text

    assert "    # blends pictures\n    mixup: 0.4" in text
    assert "    # small enough\n    backbone: resnet18" in text
    assert "(must match what the backbone gives)" in text


def test_fields_tell_the_line_that_they_come_from():
    text = converted(FRUIT, functions=FUNCTIONS).text
    number = FRUIT.splitlines().index("epochs = 4") + 1

    assert f"epochs: 4  # line {number}: training.scheme.epochs" in text


def test_what_is_written_passes_the_contract():
    for task in ("classification", "object_detection", "segmentation"):
        TrainingJob.model_validate(job_of(converted(small(task=task)).text))


# --- the table


def test_rows_name_fields_of_the_contract():
    for row in mapping.ROWS:
        node = TrainingJob
        for step in row.field.split("."):
            field = next(field for name, field in node.model_fields.items() if step in (name, field.alias))
            kinds = getattr(field.annotation, "__args__", (field.annotation,))
            node = next((kind for kind in kinds if hasattr(kind, "model_fields")), node)


@pytest.mark.parametrize(
    ("written", "task"),
    [
        ("classification", "Classification"),
        ("multi_label_classification", "MultiLabelClassification"),
        ("object_detection", "ObjectDetection"),
        ("Segmentation", "Segmentation"),
    ],
)
def test_a_type_is_a_task(written: str, task: str):
    assert spec_of(small(task=written))["task"] == task


def test_an_unknown_type_is_told_with_the_nearest():
    (problem,) = problems_of(small(task="clasification"))

    assert problem.startswith("config.ini:4: project.type: found 'clasification'; allowed: ")
    assert problem.endswith("did you mean Classification?")


@pytest.mark.parametrize(
    ("task", "backbone", "timm"),
    [
        ("object_detection", "small", "resnet18"),
        ("object_detection", "medium_p6", "resnet34"),
        ("object_detection", "resnet50_fpn_1x", "resnet50"),
        ("object_detection", "tf_lite0", "tf_efficientnet_lite0"),
        ("object_detection", "d2", "efficientnet_b2"),
        ("segmentation", "resnet34_fpn", "resnet34"),
        ("classification", "convnext_tiny", "convnext_tiny"),
        ("classification", "tf_efficientnet_b0_ns", "tf_efficientnet_b0.ns_jft_in1k"),
        ("classification", "hf-hub:someone/network", "hf-hub:someone/network"),
    ],
)
def test_backbones_get_timm_s_names(task: str, backbone: str, timm: str):
    assert spec_of(small(task=task, backbone=backbone))["model"]["backbone"] == timm


def test_an_unknown_backbone_is_told_with_the_nearest():
    (problem,) = problems_of(small(backbone="resnett18"))

    assert problem.startswith("config.ini:7: architecture.backbone: found 'resnett18'; allowed: a model of timm")
    assert "resnet18" in problem


@pytest.mark.parametrize(
    ("line", "place", "value"),
    [
        ("mixup = 0.2", ("augmentation", "mixup"), 0.2),
        ("aa = none", ("augmentation", "policy"), "None"),
        ("reprob = 0.25", ("augmentation", "randomErasing"), 0.25),
        ("learning_rate = 1e-4", ("training", "learningRate"), 1e-4),
        ('batch_size = "32"', ("training", "batchSize"), 32),
        ("opt = adam", ("training", "optimizer"), "AdamW"),
        ("sched = cosine", ("training", "schedule"), "Cosine"),
        ("weight_decay = 0.05", ("training", "weightDecay"), 0.05),
        ("smoothing = 0.1", ("training", "labelSmoothing"), 0.1),
        ("model_ema_decay = 0.999", ("training", "emaDecay"), 0.999),
        ("early_stop = 3", ("training", "earlyStopping"), {"patienceEpochs": 3}),
        ("amp = true", ("training", "precision"), "Auto"),
        ("class_weights = balanced", ("training", "classWeights"), "Balanced"),
        ("class_weight = none", ("training", "classWeights"), "None"),
        ("horizontal_flip = false", ("augmentation", "horizontalFlip"), False),
        ("hflip = 0.5", ("augmentation", "horizontalFlip"), True),
        ("hflip = 0.0", ("augmentation", "horizontalFlip"), False),
        ("vflip = 0.3", ("augmentation", "verticalFlip"), True),
        ("seed = 3", ("training", "seed"), 3),
        (
            "initial_checkpoint = s3://models/pets.safetensors",
            ("model", "initialWeights"),
            {"uri": "s3://models/pets.safetensors"},
        ),
    ],
)
def test_a_line_of_the_scheme_becomes_a_field(line: str, place: tuple[str, str], value: Any):
    assert spec_of(small(f"[training.scheme]\n{line}"))[place[0]][place[1]] == value


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mixup_switch_prob = 0.3", "the operator switches between mixup and cutmix itself"),
        ("early_stop = True", "set training.earlyStopping.patienceEpochs"),
        ("resume_training_from = models/model.pt", "takes the address of a .safetensors file"),
        ("output_path = models/model.pt", "models lie in the job's output"),
        ("seed =", "it is empty"),
        ("warmup = 3", "AutoTrain operator has no training.scheme.warmup"),
        ("class_weights = [1, 2.5]", "the operator counts how often classes occur by itself"),
        ("freeze_epoch = 3", "did you mean training.scheme.freeze_epochs?"),
    ],
)
def test_what_is_not_used_has_a_reason(line: str, reason: str):
    name = line.partition("=")[0].strip()

    assert reason in unused(converted(small(f"[training.scheme]\n{line}")).text, f"training.scheme.{name}")


@pytest.mark.parametrize("name", ["ema", "momentum", "min_lr", "lrf", "loss"])
def test_a_key_is_not_taken_for_another_one_of_its_section(name: str):
    text = converted(small(f"[training.scheme]\n{name} = 0.9")).text

    assert unused(text, f"training.scheme.{name}").endswith(f"AutoTrain operator has no training.scheme.{name}")


def test_a_key_in_a_section_around_its_own_is_told():
    text = converted(small("epochs = 3")).text

    assert unused(text, "training.epochs").endswith("did you mean training.scheme.epochs?")


@pytest.mark.parametrize(
    ("lines", "preprocessing"),
    [
        ("crop_pct = 0.9", {"cropFraction": 0.9}),
        ("[testing.preprocess]\ninterpolation = bilinear", {"interpolation": "Bilinear"}),
        (
            "[testing.preprocess]\nmean = [0.5, 0.4, 0.3]\nstd = 0.2 0.2 0.2",
            {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]},
        ),
        ("mean = [51, 102, 153]\nstd = (51, 51, 51)", {"mean": [0.2, 0.4, 0.6], "std": [0.2, 0.2, 0.2]}),
    ],
)
def test_how_pictures_are_prepared_when_the_model_is_asked_becomes_preprocessing(
    lines: str, preprocessing: dict[str, Any]
):
    assert spec_of(small(f"[testing]\n{lines}"))["preprocessing"] == preprocessing


def test_of_two_keys_for_one_field_the_table_s_first_counts_and_the_other_is_told():
    text = converted(small("[training.scheme]\nlr = 0.1\nlearning_rate = 0.2")).text

    assert job_of(text)["spec"]["training"] == {"learningRate": 0.2}
    assert "comes from training.scheme.learning_rate (line 12)" in unused(text, "training.scheme.lr")


def test_what_is_for_pictures_with_labels_is_left_out_of_detection():
    text = converted(small("[training.scheme]\nmixup = 0.2", task="object_detection")).text

    assert "augmentation" not in job_of(text)["spec"]
    assert "ObjectDetection has no spec.augmentation.mixup" in unused(text, "training.scheme.mixup")


@pytest.mark.parametrize(
    ("task", "size", "side"),
    [
        ("classification", "100", 100),
        ("classification", "(224, '224')", 224),
        ("object_detection", "384", 384),
        ("object_detection", "500", 512),
        ("segmentation", "[256, 300]", 320),
    ],
)
def test_sizes_are_sides_of_squares_and_multiples_where_networks_need_them(task: str, size: str, side: int):
    assert spec_of(small(f"[training.preprocess]\nsize = {size}", task=task))["model"]["imageSize"] == side


# --- data


@pytest.mark.parametrize(
    ("lines", "layout", "train"),
    [
        ("annotations_file = ${dir}/annotations/train.json", "Coco", "annotations/train.json"),
        ("annotations_file = ${dir}/boxes.csv", "Csv", "boxes.csv"),
        ("annotations_dir = ${dir}/xml", "Voc", "xml"),
    ],
)
def test_annotations_are_a_layout_and_a_path_inside_of_the_data(lines: str, layout: str, train: str):
    data = spec_of(small(lines, task="object_detection"))["data"]

    assert (data["layout"], data["train"]) == (layout, train)


@pytest.mark.parametrize("key", ["validation_dir", "valid_dir", "val_dir"])
def test_the_validation_part_has_one_of_three_names(key: str):
    assert spec_of(small(f"[training.data]\n{key} = ${{training.dir}}/held"))["data"]["validation"] == "held"


def test_a_path_outside_of_the_data_is_refused():
    (problem,) = problems_of(small("annotations_file = /elsewhere/train.json", task="object_detection"))

    assert problem == (
        "config.ini:10: training.annotations_file: found '/elsewhere/train.json'; "
        "allowed: a path below training.dir (~/data/pets)"
    )


@pytest.mark.parametrize(
    ("folder", "uri"),
    [
        ("~/data/pets", "file:///home/me/data/pets"),
        ("data/pets/", "file:///home/me/AutoTrain/data/pets"),
        ("/data/pets", "file:///data/pets"),
        ("C:\\data\\pets", "file:///C:/data/pets"),
    ],
)
def test_a_folder_of_this_machine_is_taken_with_a_warning(folder: str, uri: str):
    text = small().replace("data_source_url = https://example.org/pets.zip\n", "").replace("~/data/pets", folder)
    found = converted(text)

    assert job_of(found.text)["spec"]["data"]["uri"] == uri
    assert "pods do not see" in found.warnings[0].text


@pytest.mark.parametrize("slip", ["https =//", "https:/", "https//", "https : //", "www."])
def test_a_slip_in_an_address_is_mended_with_a_warning(slip: str):
    found = converted(small().replace("https://", slip))

    assert (
        job_of(found.text)["spec"]["data"]["uri"] == f"https://{'www.' if slip == 'www.' else ''}example.org/pets.zip"
    )
    assert found.warnings[0].line == 5


def test_paths_of_windows_are_paths():
    text = small("annotations_file = ${dir}\\boxes\\train.json", task="object_detection").replace("~/data", "C:\\data")

    assert spec_of(text)["data"]["train"] == "boxes/train.json"


@pytest.mark.parametrize("address", ["https://example.org/ds?key=abc", "https://me:word@example.org/pets.zip"])
def test_an_address_with_a_key_in_it_is_taken_with_a_warning(address: str):
    found = converted(small().replace("https://example.org/pets.zip", address))

    assert job_of(found.text)["spec"]["data"]["uri"] == address
    assert found.warnings[0].text.endswith("it carries a key, which all see who see the object")


def test_values_that_are_nobody_s_business_are_not_shown():
    text = converted(small("[storage]\naws_secret_access_key = abc123\n")).text

    assert "abc123" not in text
    assert "AutoTrain operator has no storage.aws_secret_access_key" in unused(text, "storage.aws_secret_access_key")


@pytest.mark.parametrize("address", ["ftp://example.org/pets.zip", "[1, 2]"])
def test_an_address_that_no_pod_can_reach_is_refused(address: str):
    (problem,) = problems_of(small().replace("https://example.org/pets.zip", address))

    assert problem.startswith("config.ini:5: project.data_source_url: found ")


@pytest.mark.parametrize(("ratio", "share"), [("0.9", 0.1), ("0.8", 0.2), ("70", 0.3), ("1", None)])
def test_the_validation_part_is_what_the_training_part_leaves(ratio: str, share: float | None):
    assert spec_of(small(f"train_ratio = {ratio}"))["data"].get("validationFraction") == share


def test_without_data_the_config_is_refused_and_the_nearest_key_told():
    text = small().replace("data_source_url", "data_sourceurl").replace("dir = ~/data/pets", "")

    assert problems_of(text) == [
        "config.ini: spec.data.uri: found no project.data_source_url or training.dir; or give --data-uri; "
        "is it project.data_sourceurl in line 5?"
    ]


def test_the_command_line_has_the_first_word():
    job = job_of(converted(small(), name="cats", task="multi-label", data_uri="pvc://pets/cats").text)

    assert (job["metadata"]["name"], job["spec"]["task"]) == ("cats", "MultiLabelClassification")
    assert job["spec"]["data"]["uri"] == "pvc://pets/cats"


# --- refusals


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("epochs = five", "found 'five'; allowed: a number"),
        ("epochs = 0", "found 0; allowed in spec.training.epochs: greater than or equal to 1"),
        ("batch_size = 1e999", "found '1e999'; allowed: a number"),
        (f"batch_size = 1{'0' * 400}", "allowed: a number up to"),
        ("epochs = 1.5", "found 1.5; allowed in spec.training.epochs: a valid integer"),
        ("epochs = 2\n  freeze_epochs = 1", "lines that are indented deeper go on with the value before"),
        ("aa = rand_m9", "allowed in spec.augmentation.policy"),
        ("amp = perhaps", "allowed: true or false"),
        ("opt = adamx", "allowed: AdamW, Lamb, RMSprop, SGD"),
        ("mixup = NaN", "found 'NaN'; allowed: a number"),
        ("class_weights = inverse", "allowed: balanced or none"),
        ("hflip = 2", "allowed: true, false, or a number between 0 and 1"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_line_and_key(line: str, told: str):
    (problem,) = problems_of(small(f"[training.scheme]\n{line}"))

    assert problem.startswith(f"config.ini:11: training.scheme.{line.partition(' ')[0]}: ")
    assert told in problem


def test_everything_that_is_wrong_is_told_at_once():
    assert len(problems_of(small("train_ratio = 107\n[training.scheme]\nepochs = x\namp = y", backbone="none"))) == 4


def test_class_names_that_are_the_same_are_refused():
    (problem,) = problems_of(small().replace("type", "classes = cat, dog, cat\ntype"))

    assert problem == "config.ini:4: project.classes: found 'cat, dog, cat'; allowed: names that differ"
