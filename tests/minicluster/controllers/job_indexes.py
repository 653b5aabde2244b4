"""Completion indexes of a Job of mode Indexed: on its pods and in its status. Pure."""

from minicluster.api import Object

INDEX = "batch.kubernetes.io/job-completion-index"


def index_of(pod: Object) -> int:
    return int(pod["metadata"]["annotations"][INDEX])


def add_index(body: Object, index: int, hostname: str) -> None:
    body["metadata"]["annotations"][INDEX] = str(index)
    body["metadata"]["labels"][INDEX] = str(index)
    spec = body["spec"] = {**body["spec"], "hostname": hostname}
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{INDEX}']"}},
    }
    for kind in ("initContainers", "containers"):
        if kind in spec:
            spec[kind] = [{**entry, "env": [*(entry.get("env") or ()), variable]} for entry in spec[kind]]


def as_ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "0-2,5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def from_ranges(text: str) -> set[int]:
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers
