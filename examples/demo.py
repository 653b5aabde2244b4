"""`make demo`: install the operator, apply a TrainingJob, watch it train, and ask the model about pictures it never saw.

Everything it writes is in .demo/, the transcript of `kubectl get atj -w` among it.
"""

import argparse
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from demo_cluster import CLUSTERS, DEMO, NAMESPACE, ROOT, Cluster, DemoError
from pictures import DATA_SETS, DataError, DataSet, save_held_out
from rich.console import Console
from rich.markup import escape
from rich.table import Table

LEAST_ACCURACY = {"digits": 0.93, "fashion-mnist": 0.70}
LONGEST_SECONDS = 1_200
SHOWN = 20
STATUS = 'jsonpath={.status}{"\\n"}'

console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
began = time.monotonic()


class Answer(NamedTuple):
    file: Path
    prediction: str
    confidence: float
    truth: str

    @property
    def right(self) -> bool:
        return self.prediction == self.truth


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with SIGINT ignored
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, lambda number, _: sys.exit(128 + number))
    DEMO.mkdir(exist_ok=True)
    try:
        with CLUSTERS[options.cluster](options.keep) as cluster, told(cluster, options):
            return demonstrate(cluster, options)
    except (DemoError, DataError) as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except KeyboardInterrupt:
        return 130


def demonstrate(cluster: Cluster, options: argparse.Namespace) -> int:
    """The whole story; the exit code."""
    name = options.data
    say(f"Getting pictures: {name}")
    data = DATA_SETS[name](DEMO / "downloads")
    say(f"Beginning in namespace {NAMESPACE} of the cluster of context {cluster.context()}")
    cluster.make_namespace()
    if place := cluster.operator():
        say(f"Using the operator that is there, in namespace {place}")
    else:
        say("helm install autotrain charts/autotrain-operator")
        cluster.install_operator(f"imagePrefix={options.image_prefix}")
    say(f"Bringing the training pictures onto a claim; {len(data.held_out)} are held back")
    bring_data(cluster, name, data)
    say(f"kubectl apply -f examples/{name}/trainingjob.yaml")
    cluster.kubectl("apply", "-f", str(ROOT / f"examples/{name}/trainingjob.yaml"))
    status = follow(cluster, name)
    with cluster.address(name) as url:
        say(f"Asking {url}/validate about {len(data.held_out)} pictures it never saw")
        answers = ask(url, save_held_out(data.held_out, DEMO / "held-out" / name))
        console.print(table(answers))
        good = judge(answers, status["metrics"], LEAST_ACCURACY[name])
    if options.keep:
        say(f"Done. The page: {cluster.page_hint(name, url)}")
        say(f"Stop it with: {cluster.stop_hint()}")
    else:
        say("Done. `make demo KEEP=1` leaves it running, with a page to try")
    return 0 if good else 1


def bring_data(cluster: Cluster, name: str, data: DataSet) -> None:
    archive = DEMO / f"{name}.tgz"
    archive.write_bytes(data.archive)
    cluster.kubectl("create", "configmap", name, f"--from-file={archive}")
    cluster.kubectl("apply", "-f", str(ROOT / f"examples/{name}/data.yaml"))
    cluster.kubectl("wait", "--for=condition=Complete", f"job/{name}-data", "--timeout=300s")


# --- watching it train


def follow(cluster: Cluster, name: str) -> dict[str, Any]:
    """Show what happens until it is Ready; the status. Raises DemoError when it never will be."""
    limit = f"--request-timeout={LONGEST_SECONDS}s"
    with (
        (DEMO / "get-atj-w.txt").open("w") as transcript,
        cluster.running("get", "trainingjobs", "--watch", output=transcript),
        cluster.running("get", "trainingjob", name, "--watch", limit, "-o", STATUS) as watched,
    ):
        shown = ""
        for line in watched.stdout or ():
            status = json.loads(line) if line.strip() else {}
            shown = show(status, shown)
            if condition(status, "Ready") == "True":
                return status
            if condition(status, "Stalled") == "True":
                raise DemoError(f"{name} will not become Ready: {status.get('failure', status['conditions'])}")
    raise DemoError(f"{name} did not become Ready within {LONGEST_SECONDS} s")


def show(status: dict[str, Any], shown: str) -> str:
    """Print the phase and how far it is, where that differs from what is shown already."""
    progress = status.get("progress", {})
    text = f"{status.get('phase', 'Pending'):<11} {progress.get('percent', 0):>3} %  {progress.get('message', '')}"
    if text != shown:
        say(text)
    return text


def condition(status: dict[str, Any], kind: str) -> str:
    return next((one["status"] for one in status.get("conditions", []) if one["type"] == kind), "Unknown")


# --- asking


def ask(url: str, files: list[Path]) -> list[Answer]:
    """The model's answers; a file's name ends with the truth."""
    with httpx.Client(timeout=30) as client:
        return [ask_about(client, url, file) for file in files]


def ask_about(client: httpx.Client, url: str, file: Path) -> Answer:
    answered = client.post(f"{url}/validate", files={"img": (file.name, file.read_bytes(), "image/png")})
    if answered.status_code != 200:
        raise DemoError(f"{file.name}: the server answers {answered.status_code}: {answered.text}")
    found = answered.json()
    return Answer(file, found["prediction"], found["confidence"], file.stem.partition("-")[2])


def table(answers: list[Answer]) -> Table:
    made = Table("picture", "prediction", "confidence", "truth", "")
    for answer in answers[:SHOWN]:
        mark = "[green]right[/]" if answer.right else "[red]wrong[/]"
        made.add_row(answer.file.name, answer.prediction, f"{answer.confidence:.4f}", answer.truth, mark)
    return made


def judge(answers: list[Answer], metric: dict[str, Any], least: float) -> bool:
    """Whether the model is as good as it has to be, and as good as its bundle says."""
    right, count = sum(answer.right for answer in answers), len(answers)
    accuracy, promised, samples = right / count, float(metric["best"]), int(metric["samples"])
    pooled = (right + promised * samples) / (count + samples)
    error = math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / samples))
    floor = max(least, promised - 3 * error)
    good = accuracy >= floor
    console.print(
        f"[bold]Accuracy over all {count}: {accuracy:.4f}[/] ({right} right). The bundle measured {promised:.4f} on "
        f"{samples} others, so at least {floor:.4f} is expected: [{'green]good' if good else 'red]not good'}[/]",
        soft_wrap=True,
    )
    return good


# --- telling


def say(text: str) -> None:
    console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {escape(text)}")


@contextlib.contextmanager
def told(cluster: Cluster, options: argparse.Namespace) -> Iterator[None]:
    """When something fails, show what the object, its pods and the operator say; then that all of it is taken away."""
    kept = False
    try:
        yield
        kept = options.keep
    except DemoError:
        show_all(cluster, options.data)
        raise
    finally:
        if not kept:
            say("Taking away what this demo made")


def show_all(cluster: Cluster, name: str) -> None:
    for arguments in (
        ("describe", "trainingjob", name),
        ("get", "jobs,pods,services"),
        ("get", "events", "--field-selector=type=Warning"),
        ("logs", "-l", "app.kubernetes.io/name=autotrain-operator", "--tail=20"),
    ):
        with contextlib.suppress(DemoError):
            namespace = cluster.operator() if arguments[0] == "logs" else NAMESPACE
            console.print(cluster.kubectl(*arguments, namespace=namespace), markup=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--data", choices=DATA_SETS, default="digits")
    parser.add_argument("--cluster", choices=CLUSTERS, default="minicluster", help="current: that of your kubeconfig")
    parser.add_argument("--image-prefix", default="autotrain", help="of the operator that the demo installs")
    parser.add_argument("--keep", action="store_true", help="leave it running")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
