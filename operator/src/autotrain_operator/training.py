"""Manifests of one attempt: the Job and the ConfigMap with its run.yaml. Pure; their contents are never updated."""

import hashlib

from autotrain_api import names
from autotrain_api.revision import recipe_of
from autotrain_api.run import RunConfig, dump_run
from autotrain_api.trainingjob import FunctionCall, Spec
from autotrain_operator import pods, storage
from autotrain_operator.functions import OwnFunctions
from autotrain_operator.kube import Object
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings

CONTAINER = "trainer"
GRACE_SECONDS = 60
LONGEST_NAME = 63


def job_name(name: str, revision: str, attempt: int) -> str:
    """`<name>-<revision>-<n>`; the pods carry it as a label, so it is cut to 63 characters, and stays unique."""
    suffix = f"-{revision}-{attempt}"
    if len(name) + len(suffix) <= LONGEST_NAME:
        return name + suffix
    short = f"-{hashlib.sha256(name.encode()).hexdigest()[:6]}{suffix}"
    return name[: LONGEST_NAME - len(short)].rstrip("-") + short


def job(owner: Owner, spec: Spec, revision: str, attempt: int, settings: Settings, together: bool) -> Object:
    """The Job of one attempt. It never tries again by itself; a disrupted pod is replaced for free.

    It is suspended until its ConfigMap, which it owns, is there: no pod mounts what is missing, or somebody else's.
    """
    name = job_name(owner.name, revision, attempt)
    labels = {names.LABEL_REVISION: revision, names.LABEL_ATTEMPT: str(attempt)}
    compute = spec.compute
    template_labels = {**compute.labels, **owner.labels(names.COMPONENT_TRAINING), **labels}
    body = pod(owner, spec, name, settings)
    if together:
        body["affinity"] = pods.together(compute.affinity, owner)
    template = {"metadata": {"labels": template_labels} | pods.present(annotations=compute.annotations), "spec": body}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": owner.metadata(name, names.COMPONENT_TRAINING, labels)
        | {"annotations": {names.ANNOTATION_DESIRED: pods.digest(template)}},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": template,
        },
    }


def fingerprint(job_object: Object) -> str:
    """Digest of the pod template as we made it; the API server adds its defaults to the template itself."""
    return str(job_object["metadata"].get("annotations", {}).get(names.ANNOTATION_DESIRED, ""))


def pod(owner: Owner, spec: Spec, config_map: str, settings: Settings) -> Object:
    """The training pod's spec."""
    compute = spec.compute
    models = storage.models_of(owner, spec)
    mounts: list[Object] = [
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - shared memory of the pod
        {"name": "config", "mountPath": names.CONFIG_PATH, "readOnly": True},
    ]
    volumes: list[Object] = [
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "config", "configMap": {"name": config_map}},
    ]
    volume_of: dict[str, str] = {}
    for claim, name, path, read_only in (
        (models.claim, "models", names.MODELS_PATH, {}),
        (storage.data_of(spec)[1], "data", names.DATA_PATH, {"readOnly": True}),
        (storage.initial_weights_of(spec)[1], "weights", names.WEIGHTS_PATH, {"readOnly": True}),
        (storage.cache_of(spec)[1], "cache", names.CACHE_PATH, {}),
    ):
        if claim is None:
            continue
        if claim not in volume_of:
            volume_of[claim] = name
            volumes.append(storage.claim_volume(name, claim))
        mounts.append({"name": volume_of[claim], "mountPath": path, **read_only})
    image = compute.image or settings.trainer_image
    trainer = pods.container(CONTAINER, image, compute, settings, {}, mounts, storage.secrets_of_training(spec))
    trainer["args"] = ["train", "--config", f"{names.CONFIG_PATH}/{names.RUN_FILE}"]
    if wanted := pods.with_gpus(pods.resources(compute, settings.training_resources), gpus(spec, settings), settings):
        trainer["resources"] = wanted
    return pods.pod_spec(compute, settings, trainer, volumes) | {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
    }


def gpus(spec: Spec, settings: Settings) -> int:
    wanted = spec.compute.gpus_per_node
    return settings.gpus_per_node if wanted is None else wanted


def function_files(own: OwnFunctions | None) -> dict[str, str]:
    """Files beside run.yaml; the second only where another one serves."""
    if own is None:
        return {}
    serving = {} if own.serving == own.training else {names.SERVING_FUNCTIONS_FILE: own.serving}
    return {names.FUNCTIONS_FILE: own.training} | serving


def config_map(
    owner: Owner, spec: Spec, job_object: Object, micro_batch_size: int | None, own: OwnFunctions | None
) -> Object:
    """run.yaml, and own functions, of the attempt whose Job is `job_object`; it goes when the Job goes."""
    revision = job_object["metadata"]["labels"][names.LABEL_REVISION]
    attempt = int(job_object["metadata"]["labels"][names.LABEL_ATTEMPT])
    files, post = function_files(own), spec.serving.postprocessing
    run = RunConfig(
        name=owner.name,
        namespace=owner.namespace,
        revision=revision,
        attempt=attempt,
        recipe=recipe_of(spec, own.sha256 if own else ""),
        metric=spec.metric,
        data_uri=storage.data_of(spec)[0],
        initial_weights_uri=storage.initial_weights_of(spec)[0],
        data_cache_uri=storage.cache_of(spec)[0],
        output_uri=storage.models_of(owner, spec).output_uri(revision),
        micro_batch_size=micro_batch_size,
        functions_file=f"{names.CONFIG_PATH}/{names.FUNCTIONS_FILE}" if names.FUNCTIONS_FILE in files else None,
        serving_functions_file=(
            f"{names.CONFIG_PATH}/{names.SERVING_FUNCTIONS_FILE}" if names.SERVING_FUNCTIONS_FILE in files else None
        ),
        serving_function=FunctionCall(function=post.function, args=post.args or {}) if post.function else None,
    )
    name = job_object["metadata"]["name"]
    metadata = owner.metadata(name, names.COMPONENT_TRAINING, {names.LABEL_REVISION: revision})
    metadata["ownerReferences"] = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "uid": job_object["metadata"]["uid"],
            "controller": True,
        }
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "data": {names.RUN_FILE: dump_run(run), **files},
    }
