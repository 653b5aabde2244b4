"""The job's own functions: from the ConfigMap that the spec names to what trainer and server get. Pure."""

import hashlib
from dataclasses import dataclass

from autotrain_api import names
from autotrain_api.names import Reason
from autotrain_api.trainingjob import FunctionsReference, Spec
from autotrain_operator.kube import Object
from autotrain_operator.waiting import Waiting

SEPARATOR = "\0"
"""Between two files in their digest."""
HINT = "Create it, or correct spec.functions.configMapRef."


@dataclass(frozen=True)
class OwnFunctions:
    """Python sources, and where the serving one lies."""

    training: str
    serving: str
    config_map: str
    serving_key: str

    @property
    def sha256(self) -> str:
        """Of what training uses: its own file, and that which serves, since pictures are prepared by it."""
        parts = [self.training] if self.serving == self.training else [self.training, self.serving]
        return sha256_of(SEPARATOR.join(parts))


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reference_of(spec: Spec | None) -> FunctionsReference | None:
    """The ConfigMap to look for: none when no field names a function."""
    if spec is None or spec.functions is None or not spec.functions_named():
        return None
    return spec.functions.config_map_ref


def own_functions(spec: Spec, found: Object | None) -> OwnFunctions | Waiting | None:
    """The functions in the ConfigMap that was found, what is missing, or None when none are wanted."""
    reference = reference_of(spec)
    if reference is None:
        return None
    if found is None:
        return Waiting(Reason.FUNCTIONS_MISSING, f"there is no ConfigMap {reference.name}", HINT)
    data = found.get("data") or {}
    key = reference.key or names.FUNCTIONS_FILE
    serving_key = reference.serving_key or key
    for wanted in (key, serving_key):
        if wanted not in data:
            keys = ", ".join(sorted(data)) or "none"
            message = f"ConfigMap {reference.name} has no key {wanted} in its data; it has {keys}"
            return Waiting(Reason.FUNCTIONS_MISSING, message, HINT)
    return OwnFunctions(data[key], data[serving_key], reference.name, serving_key)
