"""What `autotrain convert` says and takes for granted about the other parts is so."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from typer.main import get_command

from autotrain_api.revision import recipe_of
from autotrain_api.trainingjob import TrainingJob
from autotrain_cli.__main__ import Exit, app
from autotrain_cli.convert import Request, convert
from autotrain_cli.serving_part import SERVER_MODULES
from autotrain_trainer.recipes.refusals import refuse_unfit

README = (Path(__file__).parents[2] / "cli/README.md").read_text()


def distributions_of(name: str) -> set[str]:
    """A distribution and all that it requires, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found.add(name)
            required = [Requirement(text) for text in metadata.requires(name) or []]
            waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


EVERYTHING = """
[project]
name = pets
type = {}
data_source_url = https://example.org/pets.zip
[architecture]
backbone = resnet18
model_type = torchvision.fcos
size = 100
[training]
annotations_file = train.json
[training.scheme]
mixup = 0.1
cutmix = 0.1
aa = rand-m9-mstd0.5
smoothing = 0.1
class_weights = balanced
hflip = 0.5
reprob = 0.1
epochs = 2
model_ema_decay = 0.9
patience = 3
[testing]
crop_pct = 0.9
interpolation = bicubic
detection_threshold = 0.5
nms_iou_threshold = 0.5
"""


@pytest.mark.parametrize("task", ["classification", "multilabel", "object_detection", "segmentation"])
def test_a_task_is_asked_for_nothing_that_its_recipe_refuses(task: str):
    job = TrainingJob.model_validate(yaml.safe_load(convert(Request("pets.ini", EVERYTHING.format(task))).text))

    refuse_unfit(recipe_of(job.spec))


def test_own_functions_find_in_a_server_what_the_conversion_says():
    served = distributions_of("autotrain-server")
    owners = metadata.packages_distributions()
    missing = {
        module
        for module in SERVER_MODULES - sys.stdlib_module_names
        if not module.startswith("autotrain_")
        and not served & {name.lower().replace("_", "-") for name in owners[module]}
    }

    assert missing == set()


def test_the_readme_tells_every_option_and_exit_code():
    command = get_command(app).get_command(None, "convert")  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}

    assert set(re.findall(r"^\| `(--[a-z-]+) ", README, re.MULTILINE)) == options
    assert set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE)) == {"0", "2", *(str(code.value) for code in Exit)}
