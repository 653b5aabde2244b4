"""Pod Security Standards: what a namespace with the label pod-security.kubernetes.io/enforce lets in."""

from collections.abc import Callable

from minicluster.podspec import containers
from minicluster.resources import Object

LABEL = "pod-security.kubernetes.io/enforce"
_VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
)
_SECCOMP = ("RuntimeDefault", "Localhost")


def violations(namespace: Object, spec: Object) -> str:
    """What a pod does that its namespace forbids, in the words of the API server; empty where there is nothing."""
    level = (namespace["metadata"].get("labels") or {}).get(LABEL, "privileged")
    found = []
    if level in ("baseline", "restricted"):
        found += _baseline(spec)
    if level == "restricted":
        found += _restricted(spec)
    return f'violates PodSecurity "{level}:latest": {", ".join(found)}' if found else ""


def _baseline(spec: Object) -> list[str]:
    found = [f"host namespaces ({field}=true)" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    privileged = _offending(spec, lambda context: bool(context.get("privileged")))
    if privileged:
        found.append(f"privileged ({privileged} must not set securityContext.privileged=true)")
    paths = [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume]
    found += [f'hostPath volumes (volume "{name}")' for name in paths]
    ports = [port["hostPort"] for _, one in containers(spec) for port in one.get("ports") or () if port.get("hostPort")]
    return found + [f"hostPort (container uses hostPort {port})" for port in ports]


def _restricted(spec: Object) -> list[str]:
    pod = spec.get("securityContext") or {}
    found = []
    if names := _offending(spec, lambda context: context.get("allowPrivilegeEscalation") is not False):
        told = f"{names} must set securityContext.allowPrivilegeEscalation=false"
        found.append(f"allowPrivilegeEscalation != false ({told})")
    if names := _offending(spec, lambda context: not _drops_all(context.get("capabilities") or {})):
        found.append(f'unrestricted capabilities ({names} must set securityContext.capabilities.drop=["ALL"])')
    kinds = [
        (volume["name"], kind) for volume in spec.get("volumes") or () for kind in set(volume) - {"name"} - _VOLUMES
    ]
    told = 'restricted volume types (volume "{}" uses restricted volume type "{}")'
    found += [told.format(name, kind) for name, kind in kinds]
    if names := _offending(spec, lambda context: context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True):
        found.append(f"runAsNonRoot != true (pod or {names} must set securityContext.runAsNonRoot=true)")
    if pod.get("runAsUser") == 0 or _offending(spec, lambda context: context.get("runAsUser") == 0):
        found.append("runAsUser=0 (pod or container must not set runAsUser=0)")
    if names := _offending(spec, lambda context: _profile(context) not in _SECCOMP and _profile(pod) not in _SECCOMP):
        allowed = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        found.append(f"seccompProfile (pod or {names} must set {allowed})")
    return found


def _profile(context: Object) -> str:
    return str((context.get("seccompProfile") or {}).get("type", ""))


def _drops_all(capabilities: Object) -> bool:
    return "ALL" in (capabilities.get("drop") or ()) and set(capabilities.get("add") or ()) <= {"NET_BIND_SERVICE"}


def _offending(spec: Object, test: Callable[[Object], bool]) -> str:
    """The containers whose security context fails a test, as a message names them."""
    names = [f'"{one["name"]}"' for _, one in containers(spec) if test(one.get("securityContext") or {})]
    return f"container{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""
