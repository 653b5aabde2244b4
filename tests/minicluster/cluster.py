"""MiniCluster: the API over HTTPS and the machines behind it, in this process, on this event loop.

async with MiniCluster(folder) as cluster:
    await run("kubectl", "--kubeconfig", cluster.kubeconfig, "apply", "-f", "deployment.yaml")
    cluster.api.get("Deployment", "default", "web")
"""

import shutil
from pathlib import Path

from minicluster.api import Api, ApiError, Object
from minicluster.controllers.base import with_condition
from minicluster.faults import Faults
from minicluster.http import Server
from minicluster.identity import HOST
from minicluster.images import Images, autotrain_images
from minicluster.kubelet.agent import Access
from minicluster.machines import Machines
from minicluster.proxy import ANNOTATION
from minicluster.settings import Settings

MARKER = "this-is-a-minicluster"


class MiniCluster:
    """Async context manager. `folder` holds its kubeconfig, the pods' files and the volumes."""

    def __init__(
        self, folder: Path, images: Images | None = None, settings: Settings | None = None, port: int = 0
    ) -> None:
        self.folder = folder.resolve()
        self.api = Api()
        self.server = Server(self.api)
        self._images = autotrain_images() if images is None else images
        self._settings = settings or Settings()
        self._port = port
        self._machines: Machines | None = None

    async def __aenter__(self) -> "MiniCluster":
        prepare(self.folder)
        await self.server.start(self._port)
        self.server.write_kubeconfig(self.kubeconfig)
        env = {"KUBERNETES_SERVICE_HOST": HOST, "KUBERNETES_SERVICE_PORT": self.url.rpartition(":")[2]}
        access = Access(env, self.server.ca_pem, lambda namespace, name, _: self.server.token_for(namespace, name))
        self._machines = Machines(self.api, self.folder, self._images, self._settings, access)
        await self._machines.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._machines is not None:
            await self._machines.__aexit__(*error)
        await self.server.stop()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self.folder / "kubeconfig"

    @property
    def faults(self) -> Faults:
        return self.server.faults

    # --- what a test driver does to pods, and asks

    def disrupt(self, namespace: str, name: str, reason: str = "DeletionByTaintManager") -> None:
        """As a drained or lost node does: DisruptionTarget, then deletion with grace."""
        pod = self.api.get("Pod", namespace, name)
        message = "Taint manager: deleting due to NoExecute taint"
        conditions = with_condition(pod["status"]["conditions"], "DisruptionTarget", "True", reason, message)
        self.api.patch("Pod", namespace, name, {"status": {"conditions": conditions}}, "status")
        self.api.delete("Pod", namespace, name, uid=pod["metadata"]["uid"])

    def out_of_memory(self, namespace: str, name: str, container: str | None = None) -> None:
        """As the kernel does to a container over its limit: SIGKILL, reason OOMKilled."""
        pod = self.api.get("Pod", namespace, name)
        worker = self._machines.kubelet.worker_of(pod) if self._machines else None
        found = worker.container(container) if worker else None
        if found is None or not found.running:
            raise ApiError(404, "NotFound", f"no running container {container or ''} in pod {namespace}/{name}")
        found.killed_for_memory = True
        found.kill()

    def address(self, namespace: str, service: str, port: int | None = None) -> str:
        """host:port at which a Service answers on this machine."""
        return service_address(self.api.get("Service", namespace, service), port)

    def volume(self, namespace: str, claim: str) -> Path:
        """The folder behind a bound claim."""
        name = self.api.get("PersistentVolumeClaim", namespace, claim)["spec"]["volumeName"]
        return Path(str(self.api.get("PersistentVolume", None, name)["spec"]["hostPath"]["path"]))


def service_address(service: Object, port: int | None = None) -> str:
    """Of a Service as the API returns it; an annotation tells where we could not listen on the port itself."""
    wanted = port or service["spec"]["ports"][0]["port"]
    elsewhere: str | None = (service["metadata"].get("annotations") or {}).get(f"{ANNOTATION}{wanted}")
    return elsewhere or f"{service['spec']['clusterIP']}:{wanted}"


def prepare(folder: Path) -> None:
    """A folder of ours; what an earlier cluster left there is of no use without its API, which is in memory only."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    if not marker.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and no minicluster's; name an empty folder or a new one")
    marker.touch()
    for name in ("pods", "volumes"):
        shutil.rmtree(folder / name, ignore_errors=True)
