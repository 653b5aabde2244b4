"""Data from the Hugging Face hub, played by a server on this machine with the endpoints that downloads ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import PICTURES, files_of, silent, tar_of
from autotrain_api.names import ExitCode, Reason
from autotrain_trainer.data.fetch import fetch, fetch_file, locate
from autotrain_trainer.failures import RunError
from hub_server import COMMIT, Hub, hub


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with one data set and one model, which the environment leads to."""
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("autotrain_trainer.data.fetch.FIRST_WAIT_SECONDS", 0.0)
    with hub() as made:
        made.datasets["lab/pets"] = {
            "README.md": b"pets",
            "data/cats/1.png": b"one",
            "data/dogs/2 [b].png": b"two",
            "pets.tar": tar_of(PICTURES, "w"),
        }
        made.models["lab/net"] = {"model.safetensors": b"weights"}
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


def failed(uri: str, work: Path) -> RunError:
    with pytest.raises(RunError) as caught:
        fetch(uri, "", work, silent)
    assert not (work / "download").exists()
    return caught.value


@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{COMMIT}"])
def test_a_data_set_is_a_folder_without_the_hub_s_own_books(pets, tmp_path, revision):
    told: list[str] = []
    folder = fetch(f"hf://datasets/lab/pets{revision}", "", tmp_path, told.append)

    assert files_of(folder) == pets.datasets["lab/pets"]
    assert told[-1] == "downloading data: 100 %"
    assert [path.name for path in tmp_path.iterdir()] == ["download"]


def test_a_path_may_be_a_folder_of_it(pets, tmp_path):
    assert files_of(fetch("hf://datasets/lab/pets/data", "", tmp_path, silent)) == {
        "cats/1.png": b"one",
        "dogs/2 [b].png": b"two",
    }


def test_a_path_may_be_an_archive(pets, tmp_path):
    assert files_of(fetch("hf://datasets/lab/pets@main/pets.tar", "", tmp_path, silent)) == PICTURES


def test_weights_of_a_model_come_through_the_same_door(pets, tmp_path):
    path = fetch_file("hf://lab/net/model.safetensors", "", tmp_path / "w", "field", silent)

    assert path.read_bytes() == b"weights"


def test_a_download_that_breaks_off_and_a_hub_in_trouble_are_asked_again(pets, tmp_path):
    pets.stumbles, pets.troubles = 2, 2

    assert files_of(fetch("hf://datasets/lab/pets/data", "", tmp_path, silent))["cats/1.png"] == b"one"


def test_files_that_are_there_already_are_not_fetched_again(pets, tmp_path):
    remote = locate("hf://datasets/lab/pets")
    with pytest.raises(KeyboardInterrupt):
        remote.bring(tmp_path / "download", interrupting())
    first = len(pets.downloads)
    remote.bring(tmp_path / "download", silent)

    assert files_of(tmp_path / "download") == pets.datasets["lab/pets"]
    assert len(pets.downloads) < first + len(pets.datasets["lab/pets"])


def interrupting():
    """As Ctrl-C when half of it is there."""

    def report(text: str) -> None:
        if text.endswith("100 %"):
            raise KeyboardInterrupt

    return report


def test_a_private_data_set_is_opened_by_its_token(pets, tmp_path, monkeypatch):
    pets.private["lab/pets"] = "hf_secret"
    error = failed("hf://datasets/lab/pets", tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    assert (error.reason, error.exit_code) == (Reason.DATA_NOT_FOUND, ExitCode.USER_ERROR)
    assert "HF_TOKEN" in str(error)
    assert files_of(fetch("hf://datasets/lab/pets/data", "", tmp_path, silent))["cats/1.png"] == b"one"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        pytest.param("hf://datasets/lab/none", "no such repository", id="no repository"),
        pytest.param("hf://datasets/lab/pets@v9", "no such revision", id="no revision"),
        pytest.param("hf://datasets/lab/pets/none.tar", "there is no 'none.tar'", id="no file"),
        pytest.param("hf://datasets/pets", "hf://datasets/owner/name", id="no owner"),
        pytest.param("hf://spaces/lab/pets", "is wanted", id="a space"),
        pytest.param("hf://datasets/lab/--", "lab/--", id="no name"),
    ],
)
def test_what_is_not_there_is_the_users_error_at_once(pets, tmp_path, uri, words):
    error = failed(uri, tmp_path)

    assert (error.reason, error.exit_code) == (Reason.DATA_NOT_FOUND, ExitCode.USER_ERROR)
    assert words in str(error)


def test_a_gated_data_set_says_that_access_has_to_be_asked_for(pets, tmp_path):
    pets.gated.add("lab/pets")

    assert "access has to be asked for" in str(failed("hf://datasets/lab/pets", tmp_path))


def test_a_hub_that_does_not_answer_is_not_the_users_error(pets, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    error = failed("hf://datasets/lab/pets", tmp_path)

    assert error.reason == Reason.DATA_NOT_READABLE


@pytest.mark.parametrize("endpoint", ["nonsense", "hub.example.org"])
def test_an_endpoint_that_is_no_url_is_the_users_error(pets, tmp_path, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    error = failed("hf://datasets/lab/pets", tmp_path)

    assert error.exit_code == ExitCode.USER_ERROR
    assert "HF_ENDPOINT" in str(error)


def test_names_that_lead_out_of_the_folder_are_refused(pets, tmp_path):
    pets.datasets["lab/pets"]["../../evil"] = b"out"
    error = failed("hf://datasets/lab/pets", tmp_path)

    assert error.reason == Reason.DATA_ARCHIVE_UNSAFE
    assert list(tmp_path.iterdir()) == []
