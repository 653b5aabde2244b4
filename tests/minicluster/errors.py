"""What the API answers when it refuses: ApiError and the Status object it becomes. Nothing else."""

from dataclasses import dataclass
from typing import Any, Protocol


class Named(Protocol):
    """The part of a resource that error texts need."""

    group: str
    plural: str
    kind: str

    @property
    def qualified(self) -> str: ...


@dataclass(frozen=True)
class FieldError:
    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def invalid_value(field: str, value: object, why: str) -> FieldError:
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {value}: {why}")


def required(field: str, why: str = "") -> FieldError:
    return FieldError(field, "FieldValueRequired", f"Required value: {why}" if why else "Required value")


def not_supported(field: str, value: object, allowed: str) -> FieldError:
    return FieldError(field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {allowed}')


def forbidden_field(field: str, why: str) -> FieldError:
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {why}")


class ApiError(Exception):
    """A refused request; `code` is the HTTP status, `reason` Kubernetes' word for it."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def about(resource: Named, name: str) -> dict[str, Any]:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def not_found(resource: Named, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', about(resource, name))


def already_exists(resource: Named, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', about(resource, name))


def conflict(resource: Named, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, about(resource, name))


def modified(resource: Named, name: str) -> ApiError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(resource: Named, name: str, why: str) -> ApiError:
    named = f' "{name}"' if name else ""
    return ApiError(403, "Forbidden", f"{resource.qualified}{named} is forbidden: {why}", about(resource, name))


def expired(version: str) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {version}")


def invalid(resource: Named, name: str, errors: list[FieldError]) -> ApiError:
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    texts = [str(error) for error in errors]
    told = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {
        "name": name,
        "group": resource.group,
        "kind": resource.kind,
        "causes": [error.cause() for error in errors],
    }
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {told}', details)
