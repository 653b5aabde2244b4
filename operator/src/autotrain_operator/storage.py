"""Where models and data lie: claims, folders, stores and the volumes of the pods. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from autotrain_api import names
from autotrain_api.trainingjob import Spec
from autotrain_operator.kube import Object
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings

ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
PLACE = re.compile(r"[a-z0-9]+://(?P<claim>[-a-z0-9._]+)(?P<path>/[^?#]*)?")
"""The types let nothing else through; urlsplit knows more forms, and raises errors of its own."""


@dataclass(frozen=True)
class Models:
    """Where the revisions of one TrainingJob lie: below a folder of a claim, or of an object store."""

    claim: str | None
    """None: an object store, and nothing is mounted."""
    place: str
    """Path of the folder in the pods, or its URI in the store."""
    own: bool = False
    """Whether the operator makes the claim."""

    def bundle(self, revision: str) -> str:
        """Path or URI of a revision's bundle, as serving pods are told."""
        return f"{self.place}/{revision}"

    def output_uri(self, revision: str) -> str:
        """The same as a URI, as training pods are told."""
        return self.bundle(revision) if self.claim is None else f"file://{quote(self.bundle(revision))}"


def models_of(owner: Owner, spec: Spec) -> Models:
    """The spec's claim or store, or the operator's own claim."""
    place = f"{owner.namespace}/{owner.name}"
    if spec.output.uri is None:
        return Models(f"{owner.name}-models", f"{names.MODELS_PATH}/{place}", own=True)
    claim, path = claim_and_path(spec.output.uri)
    place = f"{path}/{place}" if path else place
    if in_store(spec):
        scheme = spec.output.uri.partition("://")[0]
        return Models(None, f"{scheme}://{claim}/{quote(place)}")
    return Models(claim, f"{names.MODELS_PATH}/{place}")


def in_store(spec: Spec) -> bool:
    """Whether the models lie in an object store, and not on a claim."""
    return spec.output.uri is not None and not spec.output.uri.startswith("pvc://")


def claim_and_path(uri: str) -> tuple[str, str]:
    """pvc://claim/some/path -> (claim, some/path), likewise of a bucket; parts that would climb out are left out."""
    if (found := PLACE.match(uri)) is None:
        raise ValueError(
            f"{uri!r} names no claim and no bucket: pvc://claim/path, s3://bucket/path or gs://bucket/path"
        )
    steps = [step for step in unquote(found["path"] or "").split("/") if step not in ("", ".", "..")]
    return found["claim"], "/".join(steps)


def secrets_of_training(spec: Spec) -> list[str]:
    """Secrets that become the environment of training pods; where two have a key, the later one counts."""
    named = [reference.name for reference in (spec.data.secret_ref, spec.output.secret_ref) if reference is not None]
    return list(dict.fromkeys(named))


def secrets_of_serving(spec: Spec) -> list[str]:
    """The same of serving pods: they read models, and no data."""
    return [spec.output.secret_ref.name] if spec.output.secret_ref is not None else []


def data_of(spec: Spec) -> tuple[str, str | None]:
    """The data's URI as the training pod sees it, and the claim to mount for it."""
    return _mounted(spec.data.uri, names.DATA_PATH)


def initial_weights_of(spec: Spec) -> tuple[str | None, str | None]:
    """The same of the weights to start from; (None, None) when there are none."""
    weights = spec.model.initial_weights
    return _mounted(weights.uri, names.WEIGHTS_PATH) if weights else (None, None)


def cache_of(spec: Spec) -> tuple[str | None, str | None]:
    """The same of what keeps downloaded data; (None, None) without one, and for data that is mounted anyway."""
    if spec.data.cache is None or spec.data.uri.startswith(("pvc://", "file://")):
        return None, None
    return f"file://{names.CACHE_PATH}", spec.data.cache.claim_name


def _mounted(uri: str, path: str) -> tuple[str, str | None]:
    if not uri.startswith("pvc://"):
        return uri, None
    claim, below = claim_and_path(uri)
    return f"file://{path}/{quote(below)}".rstrip("/"), claim


def claim(owner: Owner, spec: Spec, settings: Settings) -> Object:
    """The operator's own PVC. Without an owner it outlives the object; with `reclaim: Delete` it goes along."""
    storage = spec.output.storage
    metadata = owner.metadata(f"{owner.name}-models", names.COMPONENT_STORAGE)
    if spec.output.reclaim == "Retain":
        del metadata["ownerReferences"]
    body: Object = {
        "accessModes": list(storage.access_modes),
        "resources": {"requests": {"storage": storage.size}},
    }
    if name := storage.storage_class_name or settings.storage_class_name:
        body["storageClassName"] = name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": body}


def on_one_node(live_claim: Object | None, spec: Spec) -> bool:
    """Whether the models' volume can be mounted on one node only."""
    if in_store(spec):
        return False
    modes = live_claim["spec"].get("accessModes", []) if live_claim else list(spec.output.storage.access_modes)
    return bool(modes) and ONE_NODE.issuperset(modes)


def limits_of(live_claim: Object | None, spec: Spec) -> str:
    """What the volume's access mode means for where pods run; empty when nothing."""
    if not on_one_node(live_claim, spec):
        return ""
    modes = live_claim["spec"]["accessModes"] if live_claim else spec.output.storage.access_modes
    return f"all its pods run on one node, since the models' volume is {modes[0]}"


def one_pod_only(live_claim: Object | None) -> bool:
    """Whether the models' volume can be mounted by one pod only."""
    return bool(live_claim) and live_claim["spec"].get("accessModes") == ["ReadWriteOncePod"]  # type: ignore[index]


def claim_volume(name: str, claim_name: str) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim_name}}
