"""Two runtimes, one interface: the same scores in every batch size, precision and thread; and what a server makes of it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import onnx_bundle
from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_server.engine import EngineError, OpenVinoEngine, PrecisionError, openvino_precisions
from autotrain_server.model import Model
from autotrain_server.onnxruntime_engine import OnnxRuntimeEngine
from autotrain_server.predictor import BundleError, Predictor
from autotrain_trainer.quantise import quantise

ABLE = "BFloat16" in openvino_precisions()
"""Whether this processor has bfloat16; both answers are tested, each on its machine."""
BFLOAT16_TOLERANCE = 0.05
PICTURES = onnx_bundle.pictures(64)


@pytest.fixture(scope="module")
def oracle() -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(onnx_bundle.convolutions())


@pytest.fixture(scope="module")
def float32() -> OpenVinoEngine:
    return OpenVinoEngine(onnx_bundle.convolutions())


def with_tests_on_path() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    }


def far(scores: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(scores - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 8, 16, 31, 64])
def test_both_engines_give_the_same_scores_in_every_batch_size(oracle, float32, batch):
    parts = [PICTURES[start : start + batch] for start in range(0, 64, batch)]

    wanted, scores = (np.concatenate([engine.scores(part) for part in parts]) for engine in (oracle, float32))

    assert scores.dtype == wanted.dtype == np.float32
    assert far(scores, wanted) <= 1e-5
    assert far(scores, float32.scores(PICTURES)) <= 1e-6


def test_bfloat16_is_near_or_refused_by_name(oracle):
    if not ABLE:
        with pytest.raises(PrecisionError, match="no BFloat16 on this processor"):
            OpenVinoEngine(onnx_bundle.convolutions(), "BFloat16")
        return
    engine = OpenVinoEngine(onnx_bundle.convolutions(), "BFloat16")
    for batch in (1, 3, 16, 64):
        difference = far(engine.scores(PICTURES[:batch]), oracle.scores(PICTURES[:batch]))
        assert 1e-6 < difference <= BFLOAT16_TOLERANCE


def test_onnx_runtime_has_no_precision_but_the_graph_s():
    with pytest.raises(PrecisionError, match="not in BFloat16"):
        OnnxRuntimeEngine(onnx_bundle.convolutions(), "BFloat16")


def test_onnx_runtime_without_a_gpu_says_so():
    with pytest.raises(EngineError, match="GPU"):
        OnnxRuntimeEngine(onnx_bundle.convolutions(), gpu=True)


def test_a_server_that_is_to_use_a_gpu_and_has_none_is_not_ready_and_the_bundle_is_not_blamed(tmp_path):
    onnx_bundle.write_convolutions(tmp_path / "bundle")

    with pytest.raises(BundleError, match="GPU") as caught:
        Predictor.load(tmp_path / "bundle", gpus=1)

    assert caught.value.reason == Reason.ENGINE_MISSING


@pytest.mark.parametrize("engine", [OpenVinoEngine, OnnxRuntimeEngine])
def test_a_graph_that_is_none_is_an_engine_error(engine):
    with pytest.raises(EngineError, match="cannot"):
        engine(b"not a graph")


@pytest.mark.parametrize("engine", [OpenVinoEngine, OnnxRuntimeEngine])
def test_pictures_of_another_size_are_an_error_and_the_next_call_is_answered(engine):
    running = engine(onnx_bundle.convolutions())

    with pytest.raises(RuntimeError):
        running.scores(np.zeros((2, 5, 5, 3), np.uint8))

    assert running.scores(PICTURES[:2]).shape == (2, 3)


@pytest.mark.parametrize("name", ["oracle", "float32"])
def test_threads_do_not_see_each_other_s_pictures(name, request):
    engine = request.getfixturevalue(name)
    wanted = engine.scores(PICTURES)

    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda i: engine.scores(PICTURES[i : i + 1 + i % 5]), list(range(59)) * 4))

    for i, scores in zip(list(range(59)) * 4, rows, strict=True):
        np.testing.assert_allclose(scores, wanted[i : i + 1 + i % 5], atol=1e-5)


def test_scores_are_the_caller_s_to_keep(float32):
    first = float32.scores(PICTURES[:1])
    kept = first.copy()
    float32.scores(PICTURES[1:2])

    assert (first == kept).all()


def test_no_thread_is_bound_to_a_processor_that_another_pod_may_choose_too():
    code = (
        "import os, sys, onnx_bundle; from autotrain_server.engine import OpenVinoEngine;"
        "engine = OpenVinoEngine(onnx_bundle.convolutions(), threads=2);"
        "[engine.scores(onnx_bundle.pictures(16)) for _ in range(20)];"
        "sys.exit(any(os.sched_getaffinity(int(t)) != os.sched_getaffinity(0) for t in os.listdir('/proc/self/task')))"
    )

    assert subprocess.run([sys.executable, "-c", code], env=with_tests_on_path(), check=False).returncode == 0


def test_a_server_on_the_cpu_does_not_import_onnx_runtime():
    code = "import sys, autotrain_server.app; sys.exit('onnxruntime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the precision that is served


def test_auto_takes_bfloat16_when_it_was_measured_and_the_processor_has_it(tmp_path):
    onnx_bundle.write_convolutions(tmp_path / "bundle", [onnx_bundle.passed()])

    predictor = Predictor.load(tmp_path / "bundle")

    assert predictor.engine.precision == ("BFloat16" if ABLE else "Float32")
    assert predictor.precision_note == (
        "" if ABLE else "Float32 instead of BFloat16: this processor has no BFloat16 in openvino"
    )


def test_float32_is_served_when_it_is_asked_for(tmp_path):
    onnx_bundle.write_convolutions(tmp_path / "bundle", [onnx_bundle.passed()])

    predictor = Predictor.load(tmp_path / "bundle", precision="Float32")

    assert (predictor.engine.precision, predictor.precision_note) == ("Float32", "")


UNAVAILABLE = {
    "nothing measured": ([], "no BFloat16 measurement for openvino is in the bundle"),
    "not passed": ([onnx_bundle.passed(passed=False, reason="90 % agree")], "did not pass: 90 % agree"),
    "other scores than the trainer's": (
        [onnx_bundle.passed(tolerance=1e-7)],
        "golden scores in BFloat16 differ by" if ABLE else "this processor has no BFloat16",
    ),
}


@pytest.mark.parametrize(("records", "words"), UNAVAILABLE.values(), ids=UNAVAILABLE)
def test_auto_falls_back_and_the_log_says_why(tmp_path, caplog, records, words):
    onnx_bundle.write_convolutions(tmp_path / "bundle", records)
    model = Model(tmp_path / "bundle")
    model.start()
    model.wait()

    assert model.predictor.engine.precision == "Float32"
    assert words in model.predictor.precision_note
    assert words in caplog.text


@pytest.mark.parametrize(("records", "words"), UNAVAILABLE.values(), ids=UNAVAILABLE)
def test_a_named_precision_that_cannot_be_had_is_not_ready_with_a_hint(tmp_path, records, words):
    onnx_bundle.write_convolutions(tmp_path / "bundle", records)
    model = Model(tmp_path / "bundle", precision="BFloat16")
    model.start()
    model.wait()

    assert model.predictor is None
    assert model.error.reason == Reason.PRECISION_UNAVAILABLE
    assert words in model.error.told()
    assert model.error.told().endswith(
        "Take serving.precision Auto or Float32, or train again where it can be measured."
    )


@pytest.fixture(scope="module")
def eight_bits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The convolutions in eight bits, as the trainer makes them."""
    folder = tmp_path_factory.mktemp("int8")
    (folder / "model.onnx").write_bytes(onnx_bundle.convolutions())
    quantise(folder / "model.onnx", folder / bundle.MODEL_INT8, onnx_bundle.pictures(128, seed=1))
    return folder / bundle.MODEL_INT8


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16, 64])
def test_eight_bits_are_the_same_in_both_engines_and_every_batch_size(eight_bits, oracle, batch):
    """OpenVINO answers wrongly in eight bits when the batch is free; the engine fixes it."""
    engine, other = OpenVinoEngine(eight_bits, "Int8"), OnnxRuntimeEngine(eight_bits)
    parts = [PICTURES[start : start + batch] for start in range(0, 64, batch)]

    scores, wanted = (np.concatenate([one.scores(part) for part in parts]) for one in (engine, other))

    assert far(scores, wanted) <= 0.03
    assert 1e-4 < far(scores, oracle.scores(PICTURES)) <= 0.1


def test_weights_leave_room_for_sums_in_sixteen_bits(eight_bits):
    """Two products of 255 and 64 stay below 32,768; two of 255 and 127 do not, and processors without VNNI cut them off."""
    graph = onnx.load(eight_bits)

    found = [numpy_helper.to_array(one) for one in graph.graph.initializer if one.data_type == onnx.TensorProto.INT8]
    widest = [int(np.abs(one.astype(np.int16)).max()) for one in found if one.size > 1]

    assert max(widest) == 64


def with_eight_bits(folder: Path, graph: Path | None, tolerance: float = 0.1) -> None:
    onnx_bundle.write_convolutions(folder, [onnx_bundle.passed(), onnx_bundle.passed("Int8", tolerance)])
    if graph is not None:
        (folder / bundle.MODEL_INT8).write_bytes(graph.read_bytes())
    onnx_bundle.sign(folder, bundle.read_manifest(folder))


def test_eight_bits_are_served_to_those_who_ask(tmp_path, eight_bits):
    with_eight_bits(tmp_path / "bundle", eight_bits)

    asked, auto = (Predictor.load(tmp_path / "bundle", precision=name) for name in ("Int8", "Auto"))

    assert (asked.engine.precision, asked.precision_note) == ("Int8", "")
    assert auto.engine.precision != "Int8"
    assert far(asked.scores(PICTURES), auto.scores(PICTURES)) <= 0.1


def test_a_passed_record_without_its_graph_is_incomplete(tmp_path):
    with_eight_bits(tmp_path / "bundle", None)

    with pytest.raises(BundleError) as caught:
        Predictor.load(tmp_path / "bundle", precision="Int8")

    assert (caught.value.reason, caught.value.file) == (Reason.BUNDLE_INCOMPLETE, bundle.MODEL_INT8)


def test_eight_bits_of_another_model_are_refused(tmp_path, eight_bits):
    (tmp_path / "other.onnx").write_bytes(onnx_bundle.convolutions(seed=1))
    quantise(tmp_path / "other.onnx", tmp_path / "other8.onnx", PICTURES)
    with_eight_bits(tmp_path / "bundle", tmp_path / "other8.onnx")

    with pytest.raises(BundleError, match="golden scores in Int8 differ by") as caught:
        Predictor.load(tmp_path / "bundle", precision="Int8")

    assert caught.value.reason == Reason.PRECISION_UNAVAILABLE


def test_eight_bits_are_refused_without_a_measurement(tmp_path):
    onnx_bundle.write_convolutions(tmp_path / "bundle", [onnx_bundle.passed()])

    with pytest.raises(BundleError, match="no Int8 measurement for openvino is in the bundle") as caught:
        Predictor.load(tmp_path / "bundle", precision="Int8")

    assert caught.value.reason == Reason.PRECISION_UNAVAILABLE


# --- graphs that were altered and signed again


def altered(folder: Path, model: bytes) -> BundleError:
    (folder / bundle.MODEL).write_bytes(model)
    onnx_bundle.sign(folder, bundle.read_manifest(folder))
    with pytest.raises(BundleError) as caught:
        Predictor.load(folder)
    return caught.value


def zeroed(name: str) -> bytes:
    model = onnx.load_from_string(onnx_bundle.convolutions())
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(tensor)), name))
    return model.SerializeToString()


MUTATIONS = {
    "another mean": onnx_bundle.convolutions(mean=0.49),
    "another std": onnx_bundle.convolutions(std=0.24),
    "the weights of another model": onnx_bundle.convolutions(seed=1),
    **{f"{name} is zero": zeroed(name) for name in ("mean", "first", "second", "head", "bias")},
}


@pytest.mark.parametrize("model", MUTATIONS.values(), ids=MUTATIONS)
def test_an_altered_graph_is_found_by_its_golden_scores_though_every_digest_is_right(tmp_path, model):
    onnx_bundle.write_convolutions(tmp_path / "bundle", [onnx_bundle.passed()])

    error = altered(tmp_path / "bundle", model)

    assert (error.reason, error.file) == (Reason.GOLDEN_MISMATCH, bundle.GOLDEN_SCORES)
    assert "of their scale" in str(error)


def test_a_graph_with_another_number_of_classes_is_named(tmp_path):
    onnx_bundle.write_convolutions(tmp_path / "bundle")

    error = altered(tmp_path / "bundle", onnx_bundle.convolutions(classes=4))

    assert (error.reason, error.file) == (Reason.GOLDEN_MISMATCH, bundle.MODEL)
    assert "the graph gives 4 float32 scores for each of 16 pictures, the golden scores are 3 float32" in str(error)


def test_float32_is_checked_whatever_is_served(tmp_path):
    """A tolerance that lets everything pass does not open the door to another model."""
    onnx_bundle.write_convolutions(tmp_path / "bundle", [onnx_bundle.passed(tolerance=1e9)])

    assert altered(tmp_path / "bundle", onnx_bundle.convolutions(seed=1)).reason == Reason.GOLDEN_MISMATCH
