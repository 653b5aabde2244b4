"""EndpointSlices: which pods stand behind a Service, and which of them are ready."""

from minicluster.api import Api, Change, Object
from minicluster.controllers.base import Key, deleting, finished, is_ready, key_of, reference
from minicluster.selectors import has_labels

SERVICE_NAME = "kubernetes.io/service-name"


class EndpointController:
    kinds = ("Service", "Pod")

    def __init__(self, api: Api) -> None:
        self._api = api

    def keys(self, change: Change) -> list[Key]:
        if change.object["kind"] == "Service":
            return [key_of(change.object)]
        services = self._api.list("Service", change.object["metadata"]["namespace"])
        return [key_of(service) for service in services if selects(service, change.object)]

    def reconcile(self, key: Key) -> float | None:
        service = self._api.find("Service", *key)
        if service is None or deleting(service) or not service["spec"].get("selector"):
            return None
        pods = [pod for pod in self._api.list("Pod", key[0]) if selects(service, pod) and has_address(pod)]
        wanted = self._slice(service, pods)
        slices = self._api.list("EndpointSlice", key[0], {SERVICE_NAME: key[1]})
        mine = [one for one in slices if one["metadata"]["name"].startswith(f"{key[1]}-")]
        if not mine:
            self._api.create("EndpointSlice", wanted)
        elif any(mine[0].get(field) != wanted[field] for field in ("endpoints", "ports")):
            changed = {field: wanted[field] for field in ("endpoints", "ports")}
            self._api.patch("EndpointSlice", key[0], mine[0]["metadata"]["name"], changed)
        return None

    def _slice(self, service: Object, pods: list[Object]) -> Object:
        ports = []
        for port in service["spec"].get("ports") or ():
            numbers = [number for pod in pods if (number := target_port(port, pod)) is not None]
            target = port.get("targetPort", port["port"])
            number = numbers[0] if numbers else (target if isinstance(target, int) else None)
            if number is not None:
                ports.append({"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")})
        return {
            "metadata": {
                "generateName": f"{service['metadata']['name']}-",
                "namespace": service["metadata"]["namespace"],
                "labels": {
                    SERVICE_NAME: service["metadata"]["name"],
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "ownerReferences": [reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": [endpoint(service, pod) for pod in pods],
            "ports": ports,
        }


def selects(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and has_labels(pod, selector)


def has_address(pod: Object) -> bool:
    return bool(pod["status"].get("podIP")) and not finished(pod)


def endpoint(service: Object, pod: Object) -> Object:
    ready = is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": ready and not deleting(pod),
            "serving": ready,
            "terminating": deleting(pod),
        },
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "uid": pod["metadata"]["uid"],
        },
    }


def target_port(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for entry in container.get("ports") or ():
            if entry.get("name") == target:
                return int(entry["containerPort"])
    return None
