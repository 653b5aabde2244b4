"""The chart's life in a cluster: the CRD outlives releases, releases live side by side, and a namespace's admin needs no more.

helm and kubectl against a minicluster for each test. Pods have no image here, so nothing is said about them.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from minicluster import process
from minicluster.binaries import binaries
from minicluster.fixtures import PROGRAMS, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
CHART = Path(__file__).parents[2] / "charts/autotrain-operator"
CRD = "trainingjobs.autotrain.dev"
JOB = """
apiVersion: autotrain.dev/v1alpha1
kind: TrainingJob
metadata: {name: flowers}
spec: {task: Classification, data: {uri: "https://example.org/flowers.tgz"}, model: {backbone: resnet18}}
"""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A new one for each test, with two namespaces."""
    with process.running(tmp_path_factory.mktemp("minicluster")) as started:
        made = Cluster(started.kubeconfig, binaries(PROGRAMS), tmp_path_factory.mktemp("kubectl"))
        for name in ("lab", "shop"):
            made.kubectl("create", "namespace", name)
        yield made


def names(cluster: Cluster, kind: str, *options: str) -> list[str]:
    listed = cluster.kubectl("get", kind, "-l", "app.kubernetes.io/part-of=autotrain", "-o", "name", *options).stdout
    return [line.partition("/")[2] for line in listed.split()]


def command(start: str) -> list[str]:
    """The words of the README's command that begins so, up to a pipe."""
    (found,) = re.findall(rf"^({re.escape(start)}[^|]*?)(?: \||\n)", readme(), re.MULTILINE)
    return [str(CHART) if word == "charts/autotrain-operator" else word for word in shlex.split(found)]


def readme() -> str:
    return (CHART / "README.md").read_text().replace("\\\n", "")


def test_the_crd_and_its_objects_outlive_a_release_and_are_taken_up_again(cluster: Cluster):
    install = ("install", "autotrain", str(CHART), "--namespace", "lab")
    cluster.helm(*install)
    cluster.kubectl("apply", "--namespace", "lab", "-f", "-", input=JOB)

    cluster.helm("uninstall", "autotrain", "--namespace", "lab")
    assert names(cluster, "clusterrole") == []
    cluster.kubectl("get", "trainingjob", "flowers", "--namespace", "lab")

    cluster.helm(*install)
    cluster.kubectl("get", "trainingjob", "flowers", "--namespace", "lab")


def test_a_kept_crd_is_taken_over_by_another_release_in_the_way_that_the_readme_says(cluster: Cluster):
    cluster.helm("install", "autotrain", str(CHART), "--namespace", "lab")
    cluster.helm("uninstall", "autotrain", "--namespace", "lab")
    other = ("install", "other", str(CHART), "--namespace", "shop")
    refused = cluster.helm(*other, check=False)

    assert "cannot be imported into the current release" in refused.stderr
    assert "cannot be imported into the current release" in readme().replace("\n", " ")
    cluster.helm(*other, "--take-ownership")
    cluster.helm("upgrade", "other", str(CHART), "--namespace", "shop")


def test_an_upgrade_brings_a_new_crd(cluster: Cluster, tmp_path: Path):
    cluster.helm("install", "autotrain", str(CHART), "--namespace", "lab")
    newer = tmp_path / "autotrain-operator"
    shutil.copytree(CHART, newer)
    definition = newer / f"files/{CRD}.yaml"
    definition.write_text(definition.read_text().replace("shortNames: [atj]", "shortNames: [atj, newer]"))

    cluster.helm("upgrade", "autotrain", str(newer), "--namespace", "lab")

    found = yaml.safe_load(cluster.kubectl("get", "customresourcedefinition", CRD, "-o", "yaml").stdout)
    assert found["spec"]["names"]["shortNames"] == ["atj", "newer"]


def test_releases_of_one_name_live_side_by_side_and_leave_each_other_s_objects(cluster: Cluster):
    for name, crd in (("lab", "true"), ("shop", "false")):
        values = f"watchNamespaces={{{name}}},crds.install={crd}"
        cluster.helm("install", "autotrain", str(CHART), "--namespace", name, "--set", values)

    cluster.helm("uninstall", "autotrain", "--namespace", "lab")

    assert all(name.startswith("shop:") for name in names(cluster, "clusterrole"))
    assert names(cluster, "role", "--namespace", "shop") == ["autotrain-operator"]
    assert names(cluster, "deployment", "--all-namespaces") == ["autotrain-operator"]


def test_the_admin_of_a_namespace_installs_with_the_readme_s_commands_and_no_other_rights(cluster: Cluster):
    cluster.kubectl("create", "rolebinding", "tina", "--clusterrole=admin", "--user=tina", "--namespace", "lab")
    prepared = cluster.run(*command("helm template")).stdout
    cluster.kubectl("apply", "--server-side", "-f", "-", input=prepared)
    tina = ("--kube-as-user", "tina")

    cluster.run(*command("helm install autotrain charts/autotrain-operator --namespace lab"), *tina)
    cluster.kubectl("apply", "--namespace", "lab", "--as", "tina", "-f", "-", input=JOB)
    cluster.helm("upgrade", "autotrain", str(CHART), "--namespace", "lab", "--reuse-values", *tina)
    cluster.helm("uninstall", "autotrain", "--namespace", "lab", *tina)

    refused = cluster.helm("install", "autotrain", str(CHART), "--namespace", "lab", *tina, check=False)
    assert 'User "tina" cannot' in refused.stderr or "is forbidden" in refused.stderr
