"""The job's own functions: how they register, how they are called, and how they fail."""

import json
from pathlib import Path

import numpy as np
import pytest

import onnx_bundle
from autotrain_api import bundle
from autotrain_api.bundle import read_manifest
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.functions import (
    FunctionError,
    Functions,
    load_functions,
    picture_function,
    postprocessor,
    preprocessor,
)
from server_client import serving

HEAD = "from autotrain_server.functions import registry\n"
PICTURE = np.full((8, 8, 3), 7, np.uint8)


def load(text: str) -> Functions:
    return load_functions(HEAD + text, "custom_functions.py")


IDIOMS = """
registry.create("preprocess_function")
registry.create("something_else")
if not hasattr(registry, "augmentations"):
    raise SystemExit("no kind of that name")

@registry.preprocess_function.register("plain")
def plain(image):
    return 255 - image

@registry.preprocess_function("short")
def short(image, image_size):
    return image + image_size

@registry.preprocess_function.register("class")
class Add:
    def __init__(self, image_size):
        self.size = image_size
    def __call__(self, image):
        return (image + self.size).tolist() and image + self.size

@registry.postprocess_function.register("closure")
def post_process_function():
    def rename(pred):
        pred["prediction"] = {"red": "Rot"}[pred["prediction"]]
        return pred
    return rename

@registry.postprocess_function.register("with settings")
def post_process_function(add):
    return lambda pred: {**pred, "added": add}

@registry.augmentations.register("flip")
def flip(size, presize=0):
    return lambda image: image[:, ::-1]
"""


@pytest.mark.parametrize(("name", "value"), [("plain", 248), ("short", 15), ("class", 15)])
def test_functions_closures_and_classes_are_called_alike(name, value):
    change = preprocessor(load(IDIOMS), name, 8, 8)

    assert (change(PICTURE) == value).all()
    assert (PICTURE == 7).all()


def test_a_function_gets_the_settings_that_the_spec_gives():
    functions = load(IDIOMS)

    assert postprocessor(functions, "with settings", {"add": 3})({"prediction": "a"}) == {"prediction": "a", "added": 3}
    assert postprocessor(functions, "closure", {})({"prediction": "red"}) == {"prediction": "Rot"}
    assert (picture_function(functions.find("augmentation", "flip", {}, {"size": 3}))(PICTURE) == 7).all()


def test_two_files_do_not_share_a_registry():
    first = load("registry.head.register('a')(len)")
    second = load("registry.head.register('b')(len)")

    assert (list(first.kinds["head"]), list(second.kinds["head"])) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n  pass", "custom_functions.py, line 2: "),
        ("import no_such_module", "custom_functions.py, line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("\nraise SystemExit(3)", "custom_functions.py, line 3: SystemExit: 3"),
        (
            "registry.nothing.register('x')",
            "line 2: AttributeError: the registry has no nothing; it has load_function, ",
        ),
        ("registry.head.register(len)", 'registry.head.register takes a name: @registry.head.register("a_name")'),
        ("for _ in 'ab': registry.head.register('x')(len)", "head 'x' is registered twice"),
    ],
)
def test_a_file_that_does_not_run_is_named_with_its_line(text, said):
    with pytest.raises(FunctionError) as caught:
        load(text)

    assert said in str(caught.value)


POST = "@registry.postprocess_function.register('x')\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            POST + "def f(pred):\n  return pred['nothing']",
            "line 4: postprocess_function 'x' raised KeyError: 'nothing'",
        ),
        (POST + "def f(pred):\n  return [pred]", "postprocess_function 'x' gave list; a dict is wanted"),
        (POST + "def f(pred):\n  return {'a': float('nan')}", "gave what JSON cannot hold"),
        (POST + "def f(pred):\n  return {'a': {1, 2}}", "gave what JSON cannot hold"),
        (POST + "def f():\n  return 5", "gave int; it is called with its settings once"),
        (POST + "def f():\n  raise OSError('no')", "line 4: postprocess_function 'x' raised OSError: no"),
        (POST + "def f(pred, extra):\n  return pred", "is f(pred, extra) and cannot be called with {}"),
        ("", "registers no postprocess_function 'x'; of that kind it has none"),
    ],
)
def test_a_postprocess_function_that_is_wrong_is_named(text, said):
    with pytest.raises(FunctionError) as caught:
        postprocessor(load(text), "x", {})({"prediction": "red"})

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "found"), [("image[:4]", "uint8 (4, 8, 3)"), ("image / 2", "float64 (8, 8, 3)"), ("None", "object ()")]
)
def test_a_preprocess_function_gives_what_it_got(body, found):
    change = preprocessor(load(f"@registry.preprocess_function.register('x')\ndef f(image): return {body}"), "x", 8, 8)

    with pytest.raises(FunctionError, match=r"uint8 \(8, 8, 3\) is wanted") as caught:
        change(PICTURE)
    assert found in str(caught.value)


# --- in the server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose pictures are turned from red to blue before the network sees them."""
    target = tmp_path / "bundle"
    onnx_bundle.write_bundle(target)
    text = (
        HEAD + "@registry.preprocess_function.register('swap')\ndef swap(image):\n  return image[:, :, ::-1]\n" + IDIOMS
    )
    (target / bundle.FUNCTIONS).write_text(text)
    manifest = read_manifest(target)
    changed = manifest.preprocessing.model_copy(update={"function": "swap"})
    onnx_bundle.sign(target, manifest.model_copy(update={"preprocessing": changed}))
    return target


RED = onnx_bundle.picture("red")


async def test_the_bundle_s_function_changes_every_picture(folder):
    async with serving(folder) as client:
        assert (await client.post("/validate", content=RED)).json()["prediction"] == "blue"


async def test_answers_are_finished_by_the_function_that_the_spec_names(folder, tmp_path):
    post = Postprocessing(function="with settings", args={"add": {"unit": "mm"}})
    async with serving(folder, postprocessing=post) as client:
        answers = [await client.post("/validate", content=RED) for _ in range(2)]
        metrics = (await client.get("/metrics")).text

    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["added"] == {"unit": "mm"}
    assert answers[0].json()["prediction"] == "blue"
    assert 'autotrain_predictions_total{label="blue"} 2.0' in metrics


async def test_a_function_that_raises_is_an_error_with_its_name_and_counted(folder, tmp_path):
    own = tmp_path / "functions.py"
    own.write_text(HEAD + POST + "def f(pred):\n  return 1 / 0")
    async with serving(folder, postprocessing=Postprocessing(function="x"), functions=own) as client:
        answer = await client.post("/validate", content=RED)
        ready, metrics = await client.get("/readyz"), (await client.get("/metrics")).text

    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "reason": "FunctionFailed",
        "message": "functions.py, line 4: postprocess_function 'x' raised ZeroDivisionError: division by zero",
    }
    assert ready.status_code == 200
    assert 'autotrain_refused_total{reason="FunctionFailed"} 1.0' in metrics


async def test_a_server_without_the_function_is_never_ready(folder):
    async with serving(folder, postprocessing=Postprocessing(function="nowhere")) as client:
        ready = await client.get("/readyz")

    assert (ready.status_code, ready.json()["reason"]) == (503, "FunctionFailed")
    assert "of that kind it has closure, with settings" in ready.json()["message"]


async def test_a_changed_file_of_functions_is_an_altered_bundle(folder):
    with (folder / bundle.FUNCTIONS).open("a") as file:
        file.write("\n")
    async with serving(folder) as client:
        ready = await client.get("/readyz")

    assert ready.json()["reason"] == "BundleAltered"
    assert json.dumps(ready.json()).count("functions.py")
