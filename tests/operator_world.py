"""A TrainingJob and its children as plain data: carries out what the operator plans, and plays what a cluster does.

Nothing runs here and no API answers; for that there is tests/cluster.
"""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from autotrain_api import names
from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Failed, MetricValue, Succeeded, dump_outcome
from autotrain_api.status import Status
from autotrain_operator import plan, pods
from autotrain_operator.context import Action, Amend, Apply, Create, Delete
from autotrain_operator.observe import Observed
from autotrain_operator.settings import Settings

Object = dict[str, Any]
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(trainer_image="trainer:1", server_image="server:1")
MOST_PASSES = 20


def trainingjob(**sections: Any) -> Object:
    """A small valid object; `sections` replace or add parts of its spec."""
    spec = {
        "task": "Classification",
        "data": {"uri": "https://example.org/flowers.tgz"},
        "model": {"backbone": "resnet18"},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "flowers", "namespace": "lab", "uid": "uid-1", "generation": 1, "resourceVersion": "1"},
        "spec": spec | sections,
    }


class World:
    def __init__(self, settings: Settings = SETTINGS, **sections: Any) -> None:
        self.obj = trainingjob(**sections)
        self.seen = Observed()
        self.now = START
        self.settings = settings
        self.created: list[str] = []
        """Kind and name of everything that was ever created."""
        self.requeue_after: float | None = None

    # --- what people do

    def edit(self, **sections: Any) -> "World":
        for section, value in sections.items():
            old = self.obj["spec"].get(section)
            self.obj["spec"][section] = {**old, **value} if isinstance(old, dict) else value
        self.obj["metadata"]["generation"] += 1
        return self.settle()

    def annotate(self, **annotations: str) -> "World":
        self.obj["metadata"].setdefault("annotations", {}).update(
            {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        )
        return self.settle()

    def wait(self, seconds: float) -> "World":
        self.now += timedelta(seconds=seconds)
        return self.settle()

    # --- what the operator does

    def settle(self) -> "World":
        """Passes until one changes nothing."""
        for _ in range(MOST_PASSES):
            step = plan.next_step(self.obj, self.seen, self.settings, self.now)
            self.requeue_after = step.requeue_after
            before = self.obj.get("status")
            self.obj["status"] = step.status.to_dict()
            changed = [self._carry_out(action) for action in (*step.training, *step.serving)]
            if not any(changed) and before == self.obj["status"]:
                return self
        raise AssertionError(f"no rest after {MOST_PASSES} passes: {self.obj['status']}")

    def _carry_out(self, action: Action) -> bool:
        match action:
            case Create(body):
                self._create(copy.deepcopy(body))
            case Apply(body, live):
                return self._apply(body, live)
            case Delete(child, _):
                self._remove(child)
            case Amend(job, spec):
                job["spec"] |= spec
        return True

    def _create(self, body: Object) -> None:
        kind, name = body["kind"], body["metadata"]["name"]
        self.created.append(f"{kind}/{name}")
        time = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body["metadata"] |= {"uid": f"uid-{len(self.created) + 1}", "creationTimestamp": time, "generation": 1}
        match kind:
            case "Job":
                self.seen.jobs.append(body)
            case "ConfigMap":
                self.seen.config_maps |= {name}
            case "Deployment":
                body["metadata"]["managedFields"] = [{"manager": names.MANAGER, "operation": "Update", "time": time}]
                self.seen.deployment = body
            case "Service":
                self.seen.service = body
            case "PodDisruptionBudget":
                self.seen.budget = body
            case "PersistentVolumeClaim":
                self.seen.claim = body

    def _apply(self, body: Object, live: Object) -> bool:
        wanted = copy.deepcopy(body)
        if wanted["spec"] == live["spec"] and wanted["metadata"].get("annotations") == live["metadata"].get(
            "annotations"
        ):
            return False
        live["spec"] = wanted["spec"]
        live["metadata"] |= {
            key: wanted["metadata"][key] for key in ("labels", "annotations") if key in wanted["metadata"]
        }
        live["metadata"]["generation"] += 1
        for entry in live["metadata"].get("managedFields", []):
            entry["time"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return True

    def _remove(self, child: Object) -> None:
        match child["kind"]:
            case "Job":
                self.seen.jobs.remove(child)
            case "Deployment":
                self.seen.deployment = None
            case "Service":
                self.seen.service = None
            case "PodDisruptionBudget":
                self.seen.budget = None

    # --- what the cluster does

    @property
    def job(self) -> Object:
        return self.seen.jobs[-1]

    def _pod(self, state: Object, phase: str) -> None:
        job = self.job["metadata"]["name"]
        time = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.seen.pods[job] = {
            "kind": "Pod",
            "metadata": {"name": f"{job}-x", "creationTimestamp": time},
            "status": {"phase": phase, "containerStatuses": [{"name": "trainer", "state": state}]},
        }

    def pod_waits(self, reason: str, message: str = "") -> "World":
        self._pod({"waiting": {"reason": reason, "message": message}}, "Pending")
        return self.settle()

    def training_starts(self) -> "World":
        self._pod({"running": {"startedAt": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}}, "Running")
        return self.settle()

    def training_ends(self, exit_code: int, message: str = "", reason: str = "Completed") -> "World":
        time = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        state = {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": time, "finishedAt": time}
        self._pod({"terminated": state}, "Failed" if exit_code else "Succeeded")
        end = "Failed" if exit_code else "Complete"
        self.job["status"] = {"conditions": [{"type": end, "status": "True"}]}
        return self.settle()

    def trains(self, accuracy: float = 0.97) -> "World":
        return self.training_starts().training_ends(0, dump_outcome(succeeded(self.revision, accuracy)))

    def fails(self, reason: Reason = Reason.DATA_NOT_FOUND, exit_code: int = 65) -> "World":
        outcome = Failed(stage=Stage.DATA, reason=reason, message="404 for flowers.tgz", hint="Check spec.data.uri.")
        return self.training_starts().training_ends(exit_code, dump_outcome(outcome), "Error")

    def rolls_out(self) -> "World":
        """Every wanted pod is new and ready."""
        deployment = self.deployment
        wanted = deployment["spec"]["replicas"]
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted),
        }
        self.seen.unready = []
        return self.settle()

    def rollout_stands_still(self, ready: int = 0) -> "World":
        """New pods do not become ready, and the deadline passes; `ready` old ones answer."""
        self.now += timedelta(seconds=900)
        self.deployment["status"] = {
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": ready + 1,
            "updatedReplicas": 1,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [
                {
                    "type": "Progressing",
                    "status": "False",
                    "reason": "ProgressDeadlineExceeded",
                    "lastUpdateTime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            ],
        }
        return self.settle()

    def pods_say(self, reason: Reason, message: str) -> "World":
        self.seen.unready = [{"ready": False, "reason": str(reason), "message": message}]
        return self.settle()

    # --- what can be read

    @property
    def deployment(self) -> Object:
        assert self.seen.deployment is not None
        return self.seen.deployment

    @property
    def served(self) -> str:
        """The revision that the Deployment is to serve."""
        return str(self.deployment["metadata"]["labels"][names.LABEL_REVISION])

    @property
    def status(self) -> Status:
        return Status.model_validate(self.obj["status"])

    @property
    def revision(self) -> str:
        return self.status.revision

    def condition(self, name: str) -> tuple[str, str]:
        """Status and reason."""
        found = next(condition for condition in self.status.conditions if condition.type == name)
        return found.status, found.reason

    def message(self, name: str) -> str:
        return next(condition.message for condition in self.status.conditions if condition.type == name)

    def jobs_created(self) -> int:
        return sum(child.startswith("Job/") for child in self.created)


def succeeded(revision: str, accuracy: float = 0.97) -> Succeeded:
    metrics = [
        MetricValue(name=name, value=accuracy, samples=100, low=accuracy - 0.02, high=accuracy + 0.02)
        for name in ("accuracy", "macroF1")
    ]
    return Succeeded(bundle_sha256=pods.digest(revision) * 6, metrics=metrics)
