"""What the documents say is so: links, targets, settings, columns. And rules of the layout that nothing else would notice."""

import re
from pathlib import Path

import pytest
import yaml

from autotrain_api.names import Phase
from autotrain_api.revision import recipe_of, revision_of
from autotrain_api.trainingjob import Spec
from autotrain_operator.settings import Settings

ROOT = Path(__file__).parents[2]
LEFT_OUT = {".venv", ".cache", ".demo", "node_modules"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not LEFT_OUT & set(path.relative_to(ROOT).parts))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"\bmake ([a-z]+)\b(?=[^a-z-])")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
COLUMN_GAP = re.compile(r"\s{2,}")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path):
    targets = [link.partition("#")[0] for link in LINK.findall(path.read_text()) if "://" not in link]

    assert [target for target in targets if target and not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_exist(path: Path):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for code in CODE.findall(path.read_text()) for target in TARGET.findall(code + " ")}

    assert named - known == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_paths_in_commands_exist(path: Path):
    words = " ".join(CODE.findall(path.read_text())).split()
    ours = [word.strip("`") for word in words if re.match(r"(examples|charts|crds|tests|docs)/[\w./-]+`?$", word)]

    assert [word for word in ours if not (ROOT / word).exists()] == []


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_in_the_operator_s_readme(field: str):
    assert f"`AUTOTRAIN_{field.upper()}`" in (ROOT / "operator/README.md").read_text()


def test_the_readme_s_transcript_has_the_columns_of_the_crd():
    crd = yaml.safe_load((ROOT / "crds/trainingjobs.autotrain.dev.yaml").read_text())
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"].upper() for column in columns if not column.get("priority")]
    header, *rows = transcript()

    assert header.split() == ["NAME", *shown]
    assert {row.split()[1] for row in rows} <= set(Phase)


def test_the_readme_s_revision_is_the_one_of_the_digits():
    (job,) = yaml.safe_load_all((ROOT / "examples/digits/trainingjob.yaml").read_text())
    revision = revision_of(recipe_of(Spec.model_validate(job["spec"])))

    assert {part for row in transcript() for part in row.split() if part.startswith("v1-")} == {revision}


def transcript() -> list[str]:
    """The lines below `kubectl get atj -w` in README.md."""
    lines = (ROOT / "README.md").read_text().partition("$ kubectl get atj -w\n")[2].splitlines()
    return lines[: next(number for number, line in enumerate(lines) if line.startswith("$"))]


def test_the_readme_s_versions_are_the_chart_s():
    chart = yaml.safe_load((ROOT / "charts/autotrain-operator/Chart.yaml").read_text())
    oldest = chart["kubeVersion"].removeprefix(">=").removesuffix("-0")

    for path in ("README.md", "charts/autotrain-operator/README.md"):
        assert f"Kubernetes {oldest} or newer" in (ROOT / path).read_text(), path


def test_every_decision_is_listed():
    listed = LINK.findall((ROOT / "docs/adr/README.md").read_text())

    assert sorted(listed) == sorted(path.name for path in ROOT.glob("docs/adr/0*.md"))


def test_the_folder_operator_cannot_replace_a_module_of_python():
    """`operator/__init__.py`, or a folder of tests with that name, would hide the standard library's `operator`."""
    assert not (ROOT / "operator/__init__.py").exists()
    assert [path for path in (ROOT / "tests").rglob("operator") if path.is_dir()] == []


def test_names_of_test_files_are_unique():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))


def test_every_part_has_its_own_readme_and_distribution():
    for part in ("crds", "operator", "trainer_image", "server_image", "cli"):
        assert (ROOT / part / "README.md").exists()
        assert (ROOT / part / "pyproject.toml").exists()
