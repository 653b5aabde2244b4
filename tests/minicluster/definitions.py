"""CustomResourceDefinitions: what is checked when one is written, and the kinds they add to what is served.

Bound: of a definition's versions only the storage version is served, and there is no conversion.
"""

import asyncio
import copy
from typing import Any

from minicluster import builtin
from minicluster.errors import FieldError, invalid_value, not_supported, required
from minicluster.resources import Object, Resource, Resources
from minicluster.store import Event, Store, now
from minicluster.structure import schema_errors

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
ESTABLISHING_SECONDS = 0.05
_COLUMN_TYPES = ("integer", "number", "string", "boolean", "date")


def storage_version(definition: Object) -> Object:
    versions: list[Object] = definition["spec"]["versions"]
    return next((version for version in versions if version.get("storage")), versions[0])


def fill_in(definition: Object) -> None:
    """Defaults of a definition."""
    names = definition["spec"].setdefault("names", {})
    names.setdefault("singular", names.get("kind", "").lower())
    names.setdefault("listKind", names.get("kind", "") + "List")
    definition["spec"].setdefault("conversion", {"strategy": "None"})


def definition_errors(definition: Object) -> list[FieldError]:
    """What is wrong with a definition; its required fields are there."""
    spec = definition["spec"]
    found = _naming_errors(definition)
    if spec["scope"] not in ("Namespaced", "Cluster"):
        found.append(not_supported("spec.scope", spec["scope"], '"Cluster", "Namespaced"'))
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        why = "must have exactly one version marked as storage version"
        found.append(invalid_value("spec.versions", "[...]", why))
    for index, version in enumerate(spec["versions"]):
        only = len(spec["versions"]) == 1
        found += _version_errors(version, f"spec.versions[{index}]", "spec" if only else f"spec.versions[{index}]")
    return found


def _naming_errors(definition: Object) -> list[FieldError]:
    spec, found = definition["spec"], []
    name, names = definition["metadata"].get("name", ""), spec["names"]
    if name != f"{names['plural']}.{spec['group']}":
        found.append(invalid_value("metadata.name", f'"{name}"', 'must be spec.names.plural+"."+spec.group'))
    mixed = [word for word in ("plural", "singular") if names[word] != names[word].lower()]
    found += [invalid_value(f"spec.names.{word}", f'"{names[word]}"', "must be lower case") for word in mixed]
    protected = spec["group"].endswith((".k8s.io", ".kubernetes.io"))
    if protected and not (definition["metadata"].get("annotations") or {}).get("api-approved.kubernetes.io"):
        found.append(
            required("metadata.annotations[api-approved.kubernetes.io]", "protected groups must have approval")
        )
    return found


def _version_errors(version: Object, path: str, schema_path: str) -> list[FieldError]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        return [required(f"{path}.schema.openAPIV3Schema", "schemas are required")]
    where = f"{schema_path}.validation" if schema_path == "spec" else f"{schema_path}.schema"
    found = schema_errors(schema, f"{where}.openAPIV3Schema")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        place = f"{path}.additionalPrinterColumns[{index}]"
        if column["type"] not in _COLUMN_TYPES:
            found.append(not_supported(f"{place}.type", column["type"], ", ".join(_COLUMN_TYPES)))
        if not column["jsonPath"].startswith("."):
            found.append(invalid_value(f"{place}.jsonPath", f'"{column["jsonPath"]}"', "must be a simple JSON path"))
    scale = (version.get("subresources") or {}).get("scale") or {}
    for key, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        if scale and not scale.get(key, "").startswith(root):
            why = f"should be a json path under {root.rstrip('.')}"
            found.append(invalid_value(f"{path}.subresources.scale.{key}", f'"{scale.get(key, "")}"', why))
    return found


def resource_of(definition: Object) -> Resource:
    spec, version = definition["spec"], storage_version(definition)
    names, subresources = spec["names"], version.get("subresources") or {}
    return Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        tuple(names.get("shortNames") or ()),
        tuple(subresources),
        tuple(names.get("categories") or ()),
        singular=names["singular"],
        schema=_whole_schema(version["schema"]["openAPIV3Schema"]),
        columns=version.get("additionalPrinterColumns") or [],
        scale=subresources.get("scale"),
    )


def _whole_schema(schema: Object) -> Object:
    whole = copy.deepcopy(schema)
    properties = whole.setdefault("properties", {})
    narrowed = (properties.get("metadata") or {}).get("properties") or {}
    metadata = copy.deepcopy(builtin.metadata_schema())
    metadata["properties"] |= {key: metadata["properties"].get(key, {}) | below for key, below in narrowed.items()}
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": metadata}
    return whole


class Definitions:
    """Follows the definitions in the store: serves their kinds and tells so in their status."""

    def __init__(self, store: Store, resources: Resources) -> None:
        self._store = store
        self._resources = resources

    def seen(self, resource: Resource, event: Event) -> None:
        if resource.kind != "CustomResourceDefinition":
            return
        definition = event.object
        if event.type == "DELETED":
            self._resources.remove((definition["spec"]["group"], definition["spec"]["names"]["plural"]))
        elif definition["metadata"].get("deletionTimestamp"):
            return
        elif event.old is None:
            self._soon(resource, definition["metadata"]["name"])
        elif event.old["spec"] != definition["spec"] and _is_established(definition):
            self._resources.add(resource_of(definition))

    def _soon(self, resource: Resource, name: str) -> None:
        """Not at once where clients could tell: a real API server needs a moment, too."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._establish(resource, name)
        else:
            loop.call_later(ESTABLISHING_SECONDS, self._establish, resource, name)

    def _establish(self, resource: Resource, name: str) -> None:
        current = self._store.find(resource, None, name)
        if current is None or current["metadata"].get("deletionTimestamp"):
            return
        definition = copy.deepcopy(current)
        clash = self._clash(definition)
        definition["metadata"].setdefault("finalizers", []).append(CLEANUP)
        definition["status"] = _status(definition, clash)
        if not clash:
            self._resources.add(resource_of(definition))
        self._store.replace(resource, definition, current)

    def _clash(self, definition: Object) -> str:
        """The name that another kind of the group already has."""
        spec = definition["spec"]
        names = spec["names"]
        wanted = {names["plural"], names["singular"], names["kind"], *(names.get("shortNames") or ())}
        for other in self._resources:
            taken = {other.plural, other.singular, other.kind, *other.short_names} & wanted
            if other.group == spec["group"] and other.plural != names["plural"] and taken:
                return sorted(taken)[0]
        return ""


def _is_established(definition: Object) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def _status(definition: Object, clash: str) -> Object:
    def condition(name: str, reason: str, message: str) -> dict[str, Any]:
        status = "False" if clash else "True"
        told = {"reason": reason, "message": message, "lastTransitionTime": now()}
        return {"type": name, "status": status, **told}

    if clash:
        conditions = [
            condition("NamesAccepted", "NamesConflict", f'"{clash}" is already in use'),
            condition("Established", "NotAccepted", "not all names are accepted"),
        ]
    else:
        conditions = [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]
    names = {} if clash else definition["spec"]["names"]
    stored = [storage_version(definition)["name"]]
    return {"conditions": conditions, "acceptedNames": names or {"kind": "", "plural": ""}, "storedVersions": stored}
