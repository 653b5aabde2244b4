import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import autotrain_server.predictor as predictor_module
import onnx_bundle
from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.engine import ElasticEngine
from autotrain_server.model import Model
from autotrain_server.predictor import BundleError, Predictor
from autotrain_server.preprocess import ImageError


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("good") / "bundle"
    onnx_bundle.write_bundle(folder)
    return Predictor.load(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx_bundle.write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def refusal(folder: Path, sha256: str | None = None) -> tuple[str, str, str]:
    with pytest.raises(BundleError) as caught:
        Predictor.load(folder, sha256)
    return caught.value.reason, caught.value.file, caught.value.told()


def resigned(folder: Path, **changes) -> None:
    manifest = bundle.read_manifest(folder)
    onnx_bundle.sign(folder, manifest.model_copy(update=changes))


# --- answers


@pytest.mark.parametrize("colour", onnx_bundle.CLASSES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_colour_of_a_picture_is_found(predictor, colour, kind):
    [answer] = predictor.predict([onnx_bundle.picture({"green": "lime"}.get(colour, colour), kind)])

    assert answer.prediction == colour
    assert answer.confidence > 0.9
    assert sum(top.confidence for top in answer.top) == pytest.approx(1)


def test_answers_come_in_the_order_of_the_pictures(predictor):
    pictures = [onnx_bundle.picture(colour) for colour in ("blue", "red", "blue", "lime")]

    assert [answer.prediction for answer in predictor.predict(pictures)] == ["blue", "red", "blue", "green"]


def test_labels_and_top_k_are_postprocessing(predictor):
    settings = Postprocessing(labels={"red": "Rot"}, top_k=2)

    [answer] = predictor.predict([onnx_bundle.picture("red")], settings)

    assert answer.prediction == "Rot"
    assert len(answer.top) == 2


def test_a_batch_gives_what_single_pictures_give(predictor):
    images = np.random.default_rng(0).integers(0, 256, (5, onnx_bundle.SIZE, onnx_bundle.SIZE, 3), dtype=np.uint8)

    alone = np.concatenate([predictor.scores(images[i : i + 1]) for i in range(5)])

    np.testing.assert_allclose(predictor.scores(images), alone, atol=1e-5)


def test_what_is_no_picture_is_an_error(predictor):
    with pytest.raises(ImageError, match="not a picture"):
        predictor.predict([b"text"])


# --- bundles that must not answer

FILES = ("model.onnx", "weights.safetensors", "golden/inputs.npy", "golden/scores.npy", "report/loss.png")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1], ids=["first", "middle", "last"])
def test_one_flipped_byte_is_found_and_its_file_named(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content)) if place > 0 else place] ^= 1
    (folder / name).write_bytes(content)

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, name)
    assert name in told


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    assert refusal(folder)[:2] == (Reason.BUNDLE_INCOMPLETE, name)


def test_any_flipped_byte_of_the_manifest_is_found_by_its_own_digest(folder):
    digest = bundle.sha256_of(folder / bundle.MANIFEST)
    content = bytearray((folder / bundle.MANIFEST).read_bytes())
    content[content.index(b'"mean"') + 12] ^= 1
    (folder / bundle.MANIFEST).write_bytes(content)

    reason, file, told = refusal(folder, digest)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert bundle.MANIFEST in told


def test_two_swapped_classes_are_found_though_every_digest_is_right(folder):
    resigned(folder, classes=["green", "red", "blue"])

    assert refusal(folder)[:2] == (Reason.CLASSES_MISMATCH, bundle.MANIFEST)


def labelled(folder: Path, classes: list[str]) -> None:
    """Write the classes into the graph's metadata, as the trainer does."""
    graph = onnx.load(folder / bundle.MODEL)
    onnx.helper.set_model_props(graph, {bundle.GRAPH_CLASSES: json.dumps(classes)})
    onnx.save(graph, folder / bundle.MODEL)


def test_classes_that_no_golden_picture_shows_are_compared_with_those_of_the_graph(folder):
    labelled(folder, ["red", "green", "blue"])
    resigned(folder)
    assert Predictor.load(folder).manifest.classes == ["red", "green", "blue"]

    labelled(folder, ["red", "blue", "green"])
    resigned(folder)
    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.CLASSES_MISMATCH, bundle.MANIFEST)
    assert 'those of the graph are ["red", "blue", "green"]' in told


def test_another_mean_in_the_graph_is_found_though_every_digest_is_right(folder):
    (folder / bundle.MODEL).write_bytes(onnx_bundle.graph(np.diag([8, 8, 4]), mean=0.4))
    resigned(folder)

    assert refusal(folder)[0] == Reason.GOLDEN_MISMATCH


def test_altered_golden_scores_are_found_though_every_digest_is_right(folder):
    scores = np.load(folder / bundle.GOLDEN_SCORES)
    np.save(folder / bundle.GOLDEN_SCORES, scores + np.float32(0.02))
    resigned(folder)

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.GOLDEN_MISMATCH, bundle.GOLDEN_SCORES)
    assert file in told


def test_golden_scores_that_are_not_numbers_are_a_mismatch(folder):
    scores = np.load(folder / bundle.GOLDEN_SCORES)
    np.save(folder / bundle.GOLDEN_SCORES, np.full_like(scores, np.nan))
    resigned(folder)

    assert refusal(folder)[0] == Reason.GOLDEN_MISMATCH


def test_a_graph_that_is_none_is_refused(folder):
    (folder / bundle.MODEL).write_bytes(b"not a graph")
    resigned(folder)

    assert refusal(folder)[:2] == (Reason.BUNDLE_ALTERED, bundle.MODEL)


@pytest.mark.parametrize("change", [{"classes": []}, {"unknown": 1}, {"precisions": [{}]}], ids=lambda c: next(iter(c)))
def test_a_manifest_of_another_form_is_refused_with_the_field(folder, change):
    manifest = json.loads((folder / bundle.MANIFEST).read_text()) | change
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert next(iter(change)) in told


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", ["metrics", "decodeScale", "resolved", "recipe"])
def test_a_number_that_json_does_not_have_is_refused_with_its_field(folder, number, place):
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    parts = {"metrics": manifest["metrics"][0], "decodeScale": manifest["preprocessing"]}
    holder = parts[place] if place in parts else manifest[place]
    holder[{"metrics": "value"}.get(place, place)] = float(number)
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert place in told


@pytest.mark.parametrize("revision", ["", "v2-0123456789", "v1-0123456789\n", "v1-0123456789\r\nX-Evil: 1", "../up"])
def test_a_revision_that_could_not_be_a_header_or_a_folder_is_refused(folder, revision):
    manifest = json.loads((folder / bundle.MANIFEST).read_text()) | {"revision": revision}
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert "revision" in told


def test_a_manifest_that_is_a_link_out_of_the_bundle_is_refused(folder, tmp_path):
    (folder / bundle.MANIFEST).rename(tmp_path / "elsewhere.json")
    (folder / bundle.MANIFEST).symlink_to(tmp_path / "elsewhere.json")

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert "link" in told


@pytest.mark.parametrize("temperature", [0, -1, 1e-9, 1e9, 10**400, True, "1", None, []])
def test_a_temperature_that_logits_cannot_be_divided_by_is_refused(folder, temperature):
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    manifest["resolved"]["temperature"] = temperature
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.BUNDLE_ALTERED, bundle.MANIFEST)
    assert "temperature is" in told


def test_a_temperature_softens_confidences_and_leaves_golden_scores_alone(folder):
    pictures = [onnx_bundle.picture(colour) for colour in ("red", "blue")]
    plain = Predictor.load(folder)
    resigned(folder, resolved=plain.manifest.resolved | {"temperature": 4.0})

    warm = Predictor.load(folder)

    for before, after in zip(plain.predict(pictures), warm.predict(pictures), strict=True):
        assert [top.label for top in before.top] == [top.label for top in after.top]
        assert 1 / 3 < after.confidence < before.confidence


def test_a_manifest_of_before_lower_precisions_still_loads(folder):
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    del manifest["precisions"]
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    assert Predictor.load(folder).manifest.precisions == []


def test_a_file_that_the_manifest_does_not_list_is_left_alone(folder):
    (folder / "functions.py").write_text("raise SystemExit")

    assert "functions.py" not in Predictor.load(folder).manifest.files


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused_by_name_whatever_else_is_there(folder, version):
    manifest = {"schemaVersion": version, "kind": "of tomorrow"}
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, told = refusal(folder)

    assert (reason, file) == (Reason.SCHEMA_UNSUPPORTED, bundle.MANIFEST)
    assert f"schemaVersion is {version!r}, this server reads 1" in told


def test_files_outside_of_the_bundle_do_not_count(folder):
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    manifest["files"]["../other"] = "0" * 64
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    assert refusal(folder)[:2] == (Reason.BUNDLE_ALTERED, "../other")


def test_a_folder_without_a_manifest_is_unfinished(tmp_path):
    assert refusal(tmp_path)[:2] == (Reason.BUNDLE_INCOMPLETE, bundle.MANIFEST)


def test_a_refused_model_keeps_its_reason_however_often_it_is_started(tmp_path):
    model = Model(tmp_path)
    model.start()
    model.start()
    model.wait()

    assert model.predictor is None
    assert model.error is not None
    assert model.error.reason == Reason.BUNDLE_INCOMPLETE


@pytest.mark.parametrize("name", ["", "a\0b", "a" * 5000], ids=["empty", "null byte", "too long"])
def test_a_name_that_no_file_can_have_is_refused_and_named(folder, name):
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    manifest["files"][name] = "0" * 64
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))

    reason, file, _ = refusal(folder)

    assert reason in (Reason.BUNDLE_ALTERED, Reason.BUNDLE_INCOMPLETE)
    assert file == name


def test_a_link_to_itself_is_refused_and_named(folder):
    (folder / bundle.MODEL).unlink()
    (folder / bundle.MODEL).symlink_to(bundle.MODEL)

    assert refusal(folder)[:2] == (Reason.BUNDLE_ALTERED, bundle.MODEL)


def npy(shape: tuple[int, ...], kind: str, content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


@pytest.mark.parametrize("name", [bundle.GOLDEN_INPUTS, bundle.GOLDEN_SCORES])
@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4junk", npy((10**12,), "|u1", b"x"), npy((3, 3), "|O", b"x" * 72)],
    ids=["empty", "zip", "larger than memory", "objects"],
)
def test_golden_files_that_do_not_load_are_refused_and_named(folder, name, content):
    (folder / name).write_bytes(content)
    resigned(folder)

    assert refusal(folder)[:2] == (Reason.BUNDLE_ALTERED, name)


def test_golden_scores_of_another_type_are_refused(folder):
    np.save(folder / bundle.GOLDEN_SCORES, np.full((3, 3), "x"))
    resigned(folder)

    assert refusal(folder)[:2] == (Reason.BUNDLE_ALTERED, bundle.GOLDEN_SCORES)


@pytest.mark.parametrize(("threads", "second", "wanted"), [(2, 1_000_000, True), (2, 10, False), (1, 1_000_000, False)])
def test_a_second_engine_is_made_where_processor_and_memory_allow_it(folder, monkeypatch, threads, second, wanted):
    monkeypatch.setattr(predictor_module, "cpu_limit", lambda: threads)
    monkeypatch.setattr(predictor_module, "SECOND_BYTES", second)

    loaded = Predictor.load(folder)
    loaded.spread()

    assert isinstance(loaded.engine, ElasticEngine) is wanted
    assert not wanted or loaded.engine.narrow is not None
