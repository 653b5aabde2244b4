"""Where models and data lie: claims, folders and the volumes of the pods. Pure."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from autotrain_api import names
from autotrain_api.trainingjob import Spec
from autotrain_operator.kube import Object
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings

ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


@dataclass(frozen=True)
class Models:
    """The claim with the models of one TrainingJob and the folder of its revisions in it."""

    claim: str
    folder: str
    own: bool
    """Whether the operator makes the claim."""

    def bundle(self, revision: str) -> str:
        """Path of a revision's bundle in the pods."""
        return f"{names.MODELS_PATH}/{self.folder}/{revision}"


def models_of(owner: Owner, spec: Spec) -> Models:
    """The spec's claim, or the operator's own."""
    place = f"{owner.namespace}/{owner.name}"
    if spec.output.uri is None:
        return Models(f"{owner.name}-models", place, own=True)
    claim, path = claim_and_path(spec.output.uri)
    return Models(claim, f"{path}/{place}" if path else place, own=False)


def claim_and_path(uri: str) -> tuple[str, str]:
    """pvc://claim/some/path -> (claim, some/path); parts that would climb out are left out."""
    parts = urlsplit(uri)
    steps = [step for step in unquote(parts.path).split("/") if step not in ("", ".", "..")]
    return parts.netloc, "/".join(steps)


def data_of(spec: Spec) -> tuple[str, str | None]:
    """The data's URI as the training pod sees it, and the claim to mount for it."""
    return _mounted(spec.data.uri, names.DATA_PATH)


def initial_weights_of(spec: Spec) -> tuple[str | None, str | None]:
    """The same of the weights to start from; (None, None) when there are none."""
    weights = spec.model.initial_weights
    return _mounted(weights.uri, names.WEIGHTS_PATH) if weights else (None, None)


def _mounted(uri: str, path: str) -> tuple[str, str | None]:
    if not uri.startswith("pvc://"):
        return uri, None
    claim, below = claim_and_path(uri)
    return f"file://{path}/{below}".rstrip("/"), claim


def claim(owner: Owner, spec: Spec, settings: Settings) -> Object:
    """The operator's own PVC. Without an owner it outlives the object; with `reclaim: Delete` it goes along."""
    storage = spec.output.storage
    metadata = owner.metadata(models_of(owner, spec).claim, names.COMPONENT_STORAGE)
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
