"""PersistentVolumeClaims: a claim of the class `standard`, the default, gets a folder of its own at once."""

import shutil
from pathlib import Path

from minicluster.api import Api, Change, Object
from minicluster.controllers.base import Key, attempt, deleting, finished, key_of, record, write_status

CLASS = "standard"
COMPONENT = "persistentvolume-controller"
PROTECTION = "kubernetes.io/pvc-protection"


class ClaimController:
    kinds = ("PersistentVolumeClaim", "PersistentVolume", "StorageClass", "Pod")

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        body = {
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "minicluster/folder",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        }
        attempt(lambda: api.create("StorageClass", body))

    def keys(self, change: Change) -> list[Key]:
        if change.object["kind"] == "PersistentVolumeClaim":
            return [key_of(change.object)]
        if change.object["kind"] == "Pod":
            gone = change.type == "DELETED" or finished(change.object)
            return [(change.object["metadata"]["namespace"], name) for name in claims_of(change.object) if gone]
        claims = self._api.list("PersistentVolumeClaim")
        return [key_of(claim) for claim in claims if (claim.get("status") or {}).get("phase") != "Bound"]

    def reconcile(self, key: Key) -> float | None:
        claim = self._api.find("PersistentVolumeClaim", *key)
        if claim is None:
            self._reclaim(key)
        elif self._protect(claim):
            return None
        elif not deleting(claim) and (claim.get("status") or {}).get("phase") != "Bound":
            self._bind(claim)
        return None

    def _protect(self, claim: Object) -> bool:
        """A claim that is deleted stays while a pod uses it. Whether it is about to go."""
        held = claim["metadata"].get("finalizers") or []
        pods = self._api.list("Pod", claim["metadata"]["namespace"])
        used = any(claim["metadata"]["name"] in claims_of(pod) and not finished(pod) for pod in pods)
        if not deleting(claim) and PROTECTION not in held:
            self._api.patch("PersistentVolumeClaim", *key_of(claim), {"metadata": {"finalizers": [*held, PROTECTION]}})
        elif deleting(claim) and PROTECTION in held and not used:
            left = [name for name in held if name != PROTECTION]
            self._api.patch("PersistentVolumeClaim", *key_of(claim), {"metadata": {"finalizers": left}})
        return deleting(claim)

    def _bind(self, claim: Object) -> None:
        chosen = claim["spec"].get("storageClassName")
        chosen = CLASS if chosen is None else chosen
        if claim["spec"].get("volumeName"):
            volume = self._api.find("PersistentVolume", None, claim["spec"]["volumeName"])
        elif chosen == CLASS:
            volume = self._provision(claim)
        else:
            volume = None
        if volume is None:
            self._refuse(claim, chosen)
            return
        wanted = {"storageClassName": chosen, "volumeName": volume["metadata"]["name"]}
        bound = self._api.patch("PersistentVolumeClaim", *key_of(claim), {"spec": wanted})
        capacity = volume["spec"]["capacity"]
        write_status(
            self._api, bound, {"phase": "Bound", "capacity": capacity, "accessModes": claim["spec"]["accessModes"]}
        )
        write_status(self._api, volume, {"phase": "Bound"})

    def _provision(self, claim: Object) -> Object:
        metadata = claim["metadata"]
        name = f"pvc-{metadata['uid']}"
        if there := self._api.find("PersistentVolume", None, name):
            return there
        folder = self._folder / f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        about = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        about |= {field: metadata[field] for field in ("name", "namespace", "uid")}
        body = {
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": CLASS,
                "claimRef": about,
                "hostPath": {"path": str(folder)},
            },
        }
        volume = self._api.create("PersistentVolume", body)
        record(self._api, claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}", COMPONENT)
        return volume

    def _refuse(self, claim: Object, chosen: str) -> None:
        if not chosen:
            message = "no persistent volumes available for this claim and no storage class is set"
            record(self._api, claim, "FailedBinding", message, COMPONENT)
        elif self._api.find("StorageClass", None, chosen) is None:
            message = f'storageclass.storage.k8s.io "{chosen}" not found'
            record(self._api, claim, "ProvisioningFailed", message, COMPONENT, warning=True)

    def _reclaim(self, key: Key) -> None:
        """The volume of a claim that is gone goes with its files."""
        for volume in self._api.list("PersistentVolume"):
            about = volume["spec"].get("claimRef") or {}
            if (about.get("namespace"), about.get("name")) == key and volume["spec"].get("storageClassName") == CLASS:
                if (path := Path(volume["spec"]["hostPath"]["path"])).is_relative_to(self._folder):
                    shutil.rmtree(path, ignore_errors=True)
                attempt(lambda name=volume["metadata"]["name"]: self._api.delete("PersistentVolume", None, name))  # type: ignore[misc]


def claims_of(pod: Object) -> list[str]:
    volumes = pod["spec"].get("volumes") or ()
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume.get("persistentVolumeClaim")]
