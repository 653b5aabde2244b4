"""Manifests of what answers: Deployment, Service and PodDisruptionBudget. Pure."""

import json
from typing import NamedTuple

from autotrain_api import names
from autotrain_api.trainingjob import Spec
from autotrain_operator import pods, storage
from autotrain_operator.functions import OwnFunctions, sha256_of
from autotrain_operator.kube import Object
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings

CONTAINER = "server"
BUNDLE_SHA256 = "AUTOTRAIN_BUNDLE_SHA256"
DRAIN_SECONDS = 5
"""Time for endpoints to forget a pod before it stops to accept."""
GRACE_SECONDS = 45
PROBE_SECONDS = 5
SLACK_SECONDS = 30
"""How much longer than its rollout a pod may start: while the verdict is taken, it has to be there to say why."""
SERVICE_PORT = 80


class Served(NamedTuple):
    """What a Deployment is made of."""

    revision: str
    bundle_sha256: str


def selector(owner: Owner) -> dict[str, str]:
    """Labels of the serving pods; they never change, so that a Deployment can be updated."""
    return {names.LABEL_JOB: owner.name, names.LABEL_COMPONENT: names.COMPONENT_SERVING}


def url(owner: Owner) -> str:
    return f"http://{owner.name}.{owner.namespace}.svc"


def deployment(
    owner: Owner, spec: Spec, served: Served, settings: Settings, claim: Object | None, own: OwnFunctions | None = None
) -> Object:
    """The Deployment that serves one revision. Old pods stay until new ones are ready."""
    surge: Object = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    body = template(owner, spec, served, settings, storage.on_one_node(claim, spec), own)
    metadata = owner.metadata(owner.name, names.COMPONENT_SERVING, {names.LABEL_REVISION: served.revision})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata | {"annotations": {names.ANNOTATION_DESIRED: pods.digest(body)}},
        "spec": {
            "replicas": spec.serving.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": spec.policy.deadlines.rollout_seconds,
            "selector": {"matchLabels": selector(owner)},
            "strategy": {"type": "Recreate"} if storage.one_pod_only(claim) else surge,
            "template": body,
        },
    }


def template(
    owner: Owner, spec: Spec, served: Served, settings: Settings, together: bool, own: OwnFunctions | None = None
) -> Object:
    """The serving pods. They mount `own` when the postprocessing names a function."""
    serving, models = spec.serving, storage.models_of(owner, spec)
    environment = {
        "AUTOTRAIN_BUNDLE": models.bundle(served.revision),
        BUNDLE_SHA256: served.bundle_sha256,
        "AUTOTRAIN_PRECISION": serving.precision,
        "AUTOTRAIN_BATCHING": json.dumps(serving.batching.to_dict(), sort_keys=True),
        "AUTOTRAIN_POSTPROCESSING": json.dumps(serving.postprocessing.to_dict(), sort_keys=True),
        "AUTOTRAIN_LIMITS": json.dumps(serving.limits.to_dict(), sort_keys=True),
    }
    if serving.gpus:
        environment["AUTOTRAIN_GPUS"] = str(serving.gpus)
    mounts: list[Object] = []
    volumes: list[Object] = []
    if models.claim is not None:
        mounts.append({"name": "models", "mountPath": names.MODELS_PATH, "readOnly": True})
        volumes.append(storage.claim_volume("models", models.claim))
    annotations = dict(serving.annotations)
    if own is not None and serving.postprocessing.function:
        environment["AUTOTRAIN_FUNCTIONS"] = f"{names.FUNCTIONS_PATH}/{names.FUNCTIONS_FILE}"
        mounts.append({"name": "functions", "mountPath": names.FUNCTIONS_PATH, "readOnly": True})
        items = [{"key": own.serving_key, "path": names.FUNCTIONS_FILE}]
        volumes.append({"name": "functions", "configMap": {"name": own.config_map, "items": items}})
        annotations[names.ANNOTATION_FUNCTIONS] = sha256_of(own.serving)
    image = serving.image or settings.server_image
    secrets = storage.secrets_of_serving(spec)
    server = pods.container(CONTAINER, image, serving, settings, environment, mounts, secrets)
    server |= probes(spec.policy.deadlines.rollout_seconds)
    if wanted := pods.with_gpus(pods.resources(serving, settings.serving_resources), serving.gpus, settings):
        server["resources"] = wanted
    body = pods.pod_spec(serving, settings, server, volumes)
    if together:
        body["affinity"] = pods.together(serving.affinity, owner)
    labels = {**serving.labels, **owner.labels(names.COMPONENT_SERVING), names.LABEL_REVISION: served.revision}
    return {
        "metadata": {"labels": labels} | pods.present(annotations=annotations),
        "spec": body | {"terminationGracePeriodSeconds": GRACE_SECONDS},
    }


def probes(rollout_seconds: int) -> Object:
    """Starting may take a little longer than a rollout; answering is checked often; a hung process is replaced."""

    def get(path: str) -> Object:
        return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 2}

    return {
        "startupProbe": {
            **get("/readyz"),
            "periodSeconds": 1,
            "failureThreshold": rollout_seconds + SLACK_SECONDS,
        },
        "readinessProbe": {**get("/readyz"), "periodSeconds": PROBE_SECONDS, "failureThreshold": 2},
        "livenessProbe": {**get("/healthz"), "periodSeconds": 2 * PROBE_SECONDS, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }


def service(owner: Owner) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owner.metadata(owner.name, names.COMPONENT_SERVING),
        "spec": {
            "selector": selector(owner),
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def disruption_budget(owner: Owner, together: bool) -> Object:
    """One pod may be evicted at a time; all of them where they have to stay together, on the node that is drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owner.metadata(owner.name, names.COMPONENT_SERVING),
        "spec": {"maxUnavailable": "100%" if together else 1, "selector": {"matchLabels": selector(owner)}},
    }
