"""pytest fixtures: the cluster under test (minicluster, or the one that --kubeconfig names) and namespaces in it."""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from minicluster import binaries, process

PROGRAMS = Path(__file__).parents[2] / ".cache/bin"
FOR_TESTS = ("kind-", "minikube", "test-")
"""How the context of a cluster begins in which tests may create and delete; "autotrain" anywhere in it will do, too."""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    programs: dict[str, Path]
    """kubectl and helm."""
    cache: Path

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - subprocess' own word
        check: bool = True,
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        return self.run(
            "kubectl", "--cache-dir", str(self.cache), *arguments, input=input, check=check, timeout=timeout
        )

    def helm(self, *arguments: str, check: bool = True, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return self.run("helm", *arguments, check=check, timeout=timeout)

    def run(
        self,
        program: str,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - subprocess' own word
        check: bool = True,
        timeout: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """AssertionError with its words where a program fails that should not."""
        command = [str(self.programs[program]), *arguments]
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        ran = subprocess.run(command, env=env, input=input, capture_output=True, text=True, timeout=timeout)
        assert not check or ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
        return ran

    @contextlib.contextmanager
    def started(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """A kubectl that goes on until the block ends."""
        command = [str(self.programs["kubectl"]), *arguments]
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as program:
            try:
                yield program
            finally:
                program.terminate()


def refuse_if_not_for_tests(kubeconfig: Path) -> None:
    context = yaml.safe_load(kubeconfig.read_text()).get("current-context") or ""
    if not context.startswith(FOR_TESTS) and "autotrain" not in context:
        allowed = ", ".join(f'"{prefix}"' for prefix in FOR_TESTS)
        pytest.exit(
            f"--kubeconfig {kubeconfig}: the current context {context!r} is not one for tests; its name has to "
            f'begin with {allowed} or contain "autotrain". Tests create and delete objects in the whole cluster.'
        )


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    given: Path | None = request.config.getoption("--kubeconfig")
    if given is not None:
        refuse_if_not_for_tests(given)
        yield given
        return
    with process.running(tmp_path_factory.mktemp("minicluster")) as started:
        yield started.kubeconfig


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return Cluster(kubeconfig, binaries.binaries(PROGRAMS), tmp_path_factory.mktemp("kubectl"))


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test."""
    name = f"autotrain-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
