"""AutoTrain configs become TrainingJobs: their own functions, and the command."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autotrain_cli.__main__ import app
from autotrain_cli.functions import FunctionsFile, read_functions
from converting import DATA, FRUIT, FUNCTIONS, converted, job_of, problems_of, small, spec_of, unused

# --- own functions


def test_without_a_file_functions_are_left_out_with_one_warning():
    found = converted(FRUIT)

    assert "functions" not in job_of(found.text)["spec"]
    assert found.warnings[0].text.endswith("not used, because no --functions file was given")
    assert "no --functions file" in unused(found.text, "architecture.head.@head")


def test_a_name_that_the_file_does_not_register_is_told_with_those_that_it_does():
    (problem,) = problems_of(FRUIT.replace("= two_layers", "= three_layers"), functions=FUNCTIONS)

    assert problem == (
        "config.ini:21: architecture.head.@head: found 'three_layers'; allowed: a registered function; "
        "custom_functions.py registers two_layers under head"
    )


def test_arguments_are_held_against_the_parameters():
    problems = problems_of(FRUIT.replace("width = $", "breadth = $"), functions=FUNCTIONS)

    assert problems == [
        "config.ini:21: architecture.head.@head: the section lacks width; "
        "two_layers (custom_functions.py, line 24) takes width, num_classes, names",
        "config.ini:22: architecture.head.breadth: unknown argument; "
        "two_layers (custom_functions.py, line 24) takes width, num_classes, names",
    ]


def test_a_head_need_not_be_told_what_the_operator_knows():
    source = "from torch_snippets.registry import registry\n@registry.head.register('h')\ndef head(in_features, num_classes): ..."
    spec = spec_of(small("[architecture.head]\n@head = h"), functions=read_functions("f.py", source.encode()))

    assert spec["model"]["head"] == {"function": "h"}


def test_a_function_that_needs_arguments_where_none_can_be_given_is_left_out_with_a_warning():
    found = converted(PREPARED, functions=own("def f(size, colour): ..."))

    assert "preprocessing" not in job_of(found.text)["spec"]
    assert "p (f.py, line 2) needs colour" in found.warnings[0].text


def test_the_size_that_the_operator_gives_by_itself_is_no_argument():
    text = converted(PREPARED, functions=own("def f(size): ...")).text

    assert job_of(text)["spec"]["preprocessing"] == {"function": "p"}
    assert job_of(text)["spec"]["model"]["imageSize"] == 64


def test_what_serving_pods_cannot_import_is_left_out_with_one_warning():
    found = converted(
        PREPARED + "[testing]\n[testing.preprocess]\n@preprocess_function = p\n",
        functions=own("def f():\n  import torch, numpy"),
    )

    assert "preprocessing" not in job_of(found.text)["spec"]
    assert [warning.text for warning in found.warnings] == [
        "not used, because p (f.py, line 2) needs torch, which serving pods do not have",
        "the config uses none of its functions",
    ]


def test_another_function_for_testing_is_told_as_there_is_one_for_both():
    found = converted(
        PREPARED + "[testing]\n[testing.preprocess]\n@preprocess_function = q\n", functions=own("def f(): ...")
    )

    assert "comes from training.preprocess.@preprocess_function (line 11)" in found.warnings[0].text


@pytest.mark.parametrize("definition", ["def f(): ...\nimport icevision", "def f():\n  import icevision"])
def test_libraries_that_the_recipe_image_does_not_have_are_told(definition: str):
    source = f"from torch_snippets.registry import registry\n@registry.head.register('h')\n{definition}"
    found = converted(small("[architecture.head]\n@head = h"), functions=read_functions("f.py", source.encode()))

    assert found.warnings[0].text == "h or its file imports icevision, which only an own compute.image could have"


def test_detectors_have_no_heads_of_their_own():
    text = small("[architecture.head]\n@head = h", task="object_detection")
    source = b"from torch_snippets.registry import registry\n@registry.head.register('h')\ndef f(): ..."
    found = converted(text, functions=read_functions("f.py", source))

    assert found.warnings[0].text == "not used, because ObjectDetection has no spec.model.head"


PREPARED = small("[training.preprocess]\n@preprocess_function = p\nsize = 64\n")


def own(definition: str) -> FunctionsFile:
    source = (
        f"from torch_snippets.registry import registry\n@registry.preprocess_function.register('p')\n{definition}\n"
    )
    return read_functions("f.py", source.encode())


# --- the command


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_the_yaml_goes_to_stdout_and_words_to_stderr():
    result = run(DATA / "fruit.ini", "--functions", DATA / "fruit_functions.py.txt")

    assert result.exit_code == 0
    assert job_of(result.stdout)["metadata"]["name"] == "fruit-on-the-tree"
    assert "keys mapped" in result.stderr


def test_the_yaml_goes_to_a_file(tmp_path: Path):
    result = run(DATA / "fruit.ini", "--output", tmp_path / "job.yaml")

    assert result.stdout == ""
    assert job_of((tmp_path / "job.yaml").read_text())["kind"] == "TrainingJob"


def test_exit_codes_tell_bad_input_missing_files_and_unwritable_places(tmp_path: Path):
    bad = tmp_path / "bad.ini"
    bad.write_text("epochs = 3\n")
    binary = tmp_path / "binary.ini"
    binary.write_bytes(b"[a]\nb = \xff\n")

    assert run(bad).exit_code == 65
    assert run(binary).exit_code == 65
    assert run(tmp_path / "none.ini").exit_code == 66
    assert run(tmp_path).exit_code == 66
    assert run(DATA / "fruit.ini", "--functions", tmp_path / "none.py").exit_code == 66
    assert run(DATA / "fruit.ini", "--output", tmp_path / "none/job.yaml").exit_code == 73


def test_a_config_is_never_replaced(tmp_path: Path):
    config = tmp_path / "config.ini"
    config.write_text(FRUIT)

    assert run(config, "--output", config).exit_code == 73
    assert config.read_text() == FRUIT


def test_a_refusal_writes_nothing(tmp_path: Path):
    bad = tmp_path / "bad.ini"
    bad.write_text("epochs = 3\n")
    result = run(bad, "--output", tmp_path / "job.yaml")

    assert result.stderr == f"{bad}:1: 'epochs' stands before the first [section]\n"
    assert not (tmp_path / "job.yaml").exists()
