"""The server against its own OpenAPI document: what schemathesis makes of it is answered as the document says."""

import base64
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection

import onnx_bundle
from autotrain_server.app import create_app
from autotrain_server.model import Model
from autotrain_server.settings import Settings

API = schemathesis.openapi.from_dict(create_app(Settings(bundle="none"), Model("none")).openapi())
PICTURES = st.sampled_from([onnx_bundle.picture("red"), onnx_bundle.picture("blue", "JPEG")])
API.config.checks.negative_data_rejection.expected_statuses = ["400", "404", "405", "409", "413", "415"]
schemathesis.openapi.media_type("image/*", PICTURES)
schemathesis.openapi.format("byte", PICTURES.map(lambda picture: base64.b64encode(picture).decode()))
bounded = settings(derandomize=True, deadline=None, database=None)
REAL = {"v2": {"name": "colours", "version": "v1-0000000000"}, "report": {"name": "loss.png"}}
"""First step of a path -> parameters that the bundle has."""

REFUSES_ALL = [not_a_server_error, negative_data_rejection]


def loaded(folder: Path) -> FastAPI:
    """The application, once its bundle is verified or refused."""
    model = Model(folder)
    app = create_app(Settings(bundle=str(folder)), model)
    model.start()
    model.wait()
    return app


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("described") / "bundle"
    onnx_bundle.write_bundle(folder)
    return loaded(folder)


@pytest.fixture(scope="module")
def without_a_model(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return loaded(tmp_path_factory.mktemp("empty"))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Ask for what is there, and give a tensor the shape of its data: what the document cannot say.

    Metadata of a model and reports are asked for by other names too. What breaks a rule stays broken.
    """
    asked = case.path_parameters or {}
    if case.path.endswith("/infer") or len(asked.get("name", "")) % 2:
        case.path_parameters = {name: REAL[case.path.split("/")[1]][name] for name in asked}
    for tensor in tensors(case.body):
        shape, data = tensor.get("shape"), tensor.get("data")
        if isinstance(data, list) and isinstance(shape, list) and len(shape) <= 8 and all(map(is_size, shape)):
            tensor["shape"] = [len(data)]


def tensors(body: Any) -> list[dict[str, Any]]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    return [tensor for tensor in inputs if isinstance(tensor, dict)] if isinstance(inputs, list) else []


def is_size(value: Any) -> bool:
    return type(value) in (int, float) and value >= 1 and value == int(value)


@API.parametrize()
@settings(bounded, max_examples=40)
def test_what_is_asked_is_answered_as_the_document_says(case: schemathesis.Case, app: FastAPI):
    case.call_and_validate(app=app)


@API.parametrize()
@settings(bounded, max_examples=10)
def test_a_server_without_a_model_says_so_as_the_document_says(case: schemathesis.Case, without_a_model: FastAPI):
    case.call_and_validate(app=without_a_model, excluded_checks=REFUSES_ALL)


@pytest.mark.soak
@API.parametrize()
@settings(bounded, max_examples=2_000, derandomize=False)
def test_whatever_is_asked_is_answered_as_the_document_says(case: schemathesis.Case, app: FastAPI):
    case.call_and_validate(app=app)
