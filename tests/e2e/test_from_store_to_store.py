"""The whole life of one object whose data and models lie in an object store: with the real trainer, server and S3 API.

It comes before test_main_job.py, whose last test takes the operator away.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e_lab import NAMESPACE, Lab, pictures
from object_store import ENVIRONMENT, Bucket, moto

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
SECRET = "store-keys"


@pytest.fixture(scope="module")
def bucket(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A store with the digits as a folder of objects, and a Secret with its keys."""
    folder = tmp_path_factory.mktemp("digits")
    archive = folder / "digits.tgz"
    archive.write_bytes(pictures.digits(Path()).archive)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked")
    with moto() as made:
        made.put_folder("digits", folder / "unpacked")
        keys = [f"--from-literal={name}={value}" for name, value in ENVIRONMENT.items()]
        endpoint = f"--from-literal=AWS_ENDPOINT_URL={made.endpoint}"
        lab.kubectl("create", "secret", "generic", SECRET, endpoint, *keys)
        yield made


def test_a_trainingjob_from_store_to_store_becomes_a_model_that_answers(lab: Lab, bucket: Bucket) -> None:
    secret = {"name": SECRET}
    lab.apply(
        "stored",
        data={"uri": "s3://lab/digits", "secretRef": secret},
        output={"uri": "s3://lab/models", "secretRef": secret},
    )
    lab.wait("stored", "Ready")
    status = lab.status("stored")
    with lab.address("stored") as url, httpx.Client(timeout=10) as client:
        answer = lab.ask(client, url, lab.held_out[0])
    home = f"models/{NAMESPACE}/stored"

    assert answer.headers["X-Model-Digest"] == status["serving"]["loadedSha256"]
    assert f"{home}/{status['revision']}/manifest.json" in bucket.keys(home)
    assert not any(".work" in key for key in bucket.keys(home))
    assert lab.get("pvc", "-l", "autotrain.dev/trainingjob=stored")["items"] == []
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in json.dumps(status)


def test_deleting_the_object_leaves_its_models_and_the_next_one_finds_them(lab: Lab, bucket: Bucket) -> None:
    secret = {"name": SECRET}
    before = lab.status("stored")
    lab.kubectl("delete", "trainingjob", "stored", "--wait")
    lab.until(lambda: not lab.get("jobs", "-l", "autotrain.dev/trainingjob=stored")["items"], "end of the Jobs")
    lab.apply(
        "stored",
        data={"uri": "s3://lab/digits", "secretRef": secret},
        output={"uri": "s3://lab/models", "secretRef": secret},
    )
    lab.wait("stored", "Ready")

    assert lab.status("stored")["serving"]["loadedSha256"] == before["serving"]["loadedSha256"]
    lab.kubectl("delete", "trainingjob", "stored")
