"""spec.podFailurePolicy of a Job: what a failed pod means. Pure."""

from typing import NamedTuple

from minicluster.api import Object

Statuses = list[Object]


class Verdict(NamedTuple):
    action: str
    """Count, Ignore or FailJob."""
    message: str = ""


def judge(policy: Object | None, pod: Object) -> Verdict:
    """The action of the first rule that matches; Count without one."""
    for index, rule in enumerate((policy or {}).get("rules") or ()):
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        matched = _by_exit_code(rule["onExitCodes"], pod) if rule.get("onExitCodes") else _by_condition(rule, pod)
        if matched:
            told = f"{matched.format(name=name)} matching {rule['action']} rule at index {index}"
            return Verdict(rule["action"], told)
    return Verdict("Count")


def _by_exit_code(wanted: Object, pod: Object) -> str:
    status = pod.get("status") or {}
    containers: Statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        ended = (container.get("state") or {}).get("terminated")
        if not ended or ended["exitCode"] == 0 or wanted.get("containerName") not in (None, "", container["name"]):
            continue
        if (ended["exitCode"] in wanted["values"]) == (wanted["operator"] == "In"):
            return f"Container {container['name']} for pod {{name}} failed with exit code {ended['exitCode']}"
    return ""


def _by_condition(rule: Object, pod: Object) -> str:
    has = {(there["type"], there["status"]) for there in (pod.get("status") or {}).get("conditions") or ()}
    for wanted in rule.get("onPodConditions") or ():
        if (wanted["type"], wanted.get("status", "True")) in has:
            return f"Pod {{name}} has condition {wanted['type']}"
    return ""
