"""A pod's volumes as folders of this machine, and where a container wants them."""

import base64
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from minicluster.api import Api, Object
from minicluster.kubelet.environment import field_of
from minicluster.kubelet.rooms import Mount, rewrite

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TokenMaker = Callable[[str, str, Object], str]
"""(namespace, service account, pod) -> bearer token."""


class MountError(Exception):
    """Why a volume cannot be set up yet: FailedMount."""


class Volumes:
    """Of one pod, below `folder`."""

    def __init__(self, api: Api, pod: Object, folder: Path, make_token: TokenMaker, ca: str) -> None:
        self._api = api
        self._pod = pod
        self._namespace = pod["metadata"]["namespace"]
        self._folder = folder
        self._make_token = make_token
        self._ca = ca
        self._places: dict[str, Path] = {}

    def set_up(self) -> None:
        """Raises MountError; may be called again."""
        for volume in self._pod["spec"].get("volumes") or ():
            if volume["name"] not in self._places:
                self._places[volume["name"]] = self._place(volume)
        if self._wants_token():
            folder = self._folder / "kube-api-access"
            self._fill_token(folder)
            self._places["kube-api-access"] = folder

    def mounts(self, container: Object) -> list[Mount]:
        mounts = []
        for wanted in container.get("volumeMounts") or ():
            source = self._places[wanted["name"]]
            if wanted.get("subPath"):
                source = source / wanted["subPath"]
                if not source.exists():
                    source.mkdir(parents=True)
            target = wanted["mountPath"].rstrip("/")
            mounts.append(Mount(source, target, bool(wanted.get("readOnly")) or self._is_fixed(wanted["name"])))
        if "kube-api-access" in self._places and all(mount.target != TOKEN_PATH for mount in mounts):
            mounts.append(Mount(self._places["kube-api-access"], TOKEN_PATH, True))
        return mounts

    def rewrite_texts(self) -> None:
        """Where there are no mount namespaces: paths in mounted texts become the folders behind them."""
        spec = self._pod["spec"]
        containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
        mounts = [mount for container in containers for mount in self.mounts(container)]
        for volume in spec.get("volumes") or ():
            if self._is_text(volume):
                for path in self._places[volume["name"]].rglob("*"):
                    with contextlib.suppress(UnicodeDecodeError, IsADirectoryError):
                        path.write_text(rewrite(path.read_text(), mounts))

    def _is_text(self, volume: Object) -> bool:
        return any(kind in volume for kind in ("configMap", "secret", "projected", "downwardAPI"))

    def _is_fixed(self, name: str) -> bool:
        volume = next(volume for volume in self._pod["spec"]["volumes"] if volume["name"] == name)
        claim = volume.get("persistentVolumeClaim") or {}
        return bool(claim.get("readOnly")) or self._is_text(volume)

    def _wants_token(self) -> bool:
        spec = self._pod["spec"]
        if spec.get("automountServiceAccountToken") is not None:
            return bool(spec["automountServiceAccountToken"])
        account = self._api.find("ServiceAccount", self._namespace, spec.get("serviceAccountName") or "default")
        return (account or {}).get("automountServiceAccountToken") is not False

    def _fill_token(self, folder: Path) -> None:
        account = self._pod["spec"].get("serviceAccountName") or "default"
        token = self._make_token(self._namespace, account, self._pod)
        write(folder, {"token": token, "ca.crt": self._ca, "namespace": self._namespace})

    def _place(self, volume: Object) -> Path:
        folder = self._folder / str(volume["name"])
        if claim := volume.get("persistentVolumeClaim"):
            return self._claimed(claim["claimName"])
        if host := volume.get("hostPath"):
            return Path(str(host["path"]))
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume or "secret" in volume:
            write(folder, self._chosen(volume["name"], volume))
        elif "projected" in volume:
            for source in volume["projected"].get("sources") or ():
                self._project(volume["name"], source, folder)
        elif "downwardAPI" in volume:
            write(folder, self._fields(volume["downwardAPI"]))
        elif "emptyDir" not in volume:
            raise MountError(f'volume "{volume["name"]}" is of a kind that minicluster does not run')
        return folder

    def _project(self, name: str, source: Object, folder: Path) -> None:
        if token := source.get("serviceAccountToken"):
            account = self._pod["spec"].get("serviceAccountName") or "default"
            write(folder, {token["path"]: self._make_token(self._namespace, account, self._pod)})
        elif "downwardAPI" in source:
            write(folder, self._fields(source["downwardAPI"]))
        else:
            write(folder, self._chosen(name, source))

    def _fields(self, source: Object) -> dict[str, str]:
        items = source.get("items") or ()
        return {item["path"]: field_of(self._pod, item["fieldRef"]["fieldPath"]) for item in items}

    def _chosen(self, volume_name: str, source: Object) -> dict[str, str | bytes]:
        """The files of a configMap or secret source, all keys or those of `items`."""
        kind = "ConfigMap" if "configMap" in source else "Secret"
        wanted = source["configMap" if kind == "ConfigMap" else "secret"]
        name = wanted.get("name") or wanted.get("secretName")
        item = self._api.find(kind, self._namespace, name)
        problem = f'MountVolume.SetUp failed for volume "{volume_name}" : '
        if item is None:
            if wanted.get("optional"):
                return {}
            raise MountError(f'{problem}{kind.lower()} "{name}" not found')
        files: dict[str, str | bytes] = dict(item.get("data") or {}) if kind == "ConfigMap" else {}
        encoded = item.get("binaryData" if kind == "ConfigMap" else "data") or {}
        files |= {key: base64.b64decode(value) for key, value in encoded.items()}
        if not wanted.get("items"):
            return files
        missing = [entry["key"] for entry in wanted["items"] if entry["key"] not in files]
        if missing and not wanted.get("optional"):
            raise MountError(f"{problem}references non-existent config key: {missing[0]}")
        return {entry["path"]: files[entry["key"]] for entry in wanted["items"] if entry["key"] in files}

    def _claimed(self, name: str) -> Path:
        claim = self._api.find("PersistentVolumeClaim", self._namespace, name)
        volume_name = (claim or {}).get("spec", {}).get("volumeName")
        volume = self._api.find("PersistentVolume", None, volume_name) if volume_name else None
        if volume is None or (claim or {}).get("status", {}).get("phase") != "Bound":
            raise MountError(f'persistentvolumeclaim "{name}" is not bound')
        return Path(str((volume["spec"].get("hostPath") or volume["spec"]["local"])["path"]))


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
