"""A bare HTTP client for the API, from a kubeconfig: the checks want status codes and bodies, not a client's opinion."""

import base64
import contextlib
import json
import ssl
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PATIENCE_SECONDS = 60
CORE = "/api/v1"


def unique(prefix: str = "c") -> str:
    return f"{prefix}{uuid.uuid4().hex[:8]}"


def eventually(check: Callable[[], Any]) -> Any:
    """The first true answer; AssertionError where there is none."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := check()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Answer:
    code: int
    body: Object
    headers: httpx.Headers

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[str]:
        """The fields that a refusal names."""
        return [cause.get("field", "") for cause in (self.body.get("details") or {}).get("causes", [])]


def tls_context(cluster: Object, user: Object) -> ssl.SSLContext:
    data = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"), cadata=base64.b64decode(data).decode() if data else None
    )
    if "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:
            for part in ("certificate", "key"):
                Path(folder, part).write_bytes(base64.b64decode(user[f"client-{part}-data"]))
            context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))
    elif "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context


class Client:
    def __init__(self, url: str, context: ssl.SSLContext, anonymous: ssl.SSLContext, token: str = "") -> None:
        """`anonymous` knows the authority, but carries no client certificate."""
        self._url, self._context, self._anonymous = url, context, anonymous
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = self._connection()

    def _connection(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url, verify=self._context, headers=self._headers, trust_env=False, timeout=PATIENCE_SECONDS
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> "Client":
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        contexts = tls_context(cluster, user), tls_context(cluster, {})
        return cls(cluster["server"], *contexts, user.get("token", ""))

    def with_token(self, token: str) -> "Client":
        """The same cluster for somebody else."""
        return Client(self._url, self._anonymous, self._anonymous, token)

    def close(self) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, body: Any = None, sent: str = "application/json", accept: str = "", **query: str
    ) -> Answer:
        content = None if body is None else json.dumps(body)
        return self.send(method, path, content, sent, accept, **query)

    def send(
        self,
        method: str,
        path: str,
        content: str | None,
        sent: str = "application/json",
        accept: str = "",
        **query: str,
    ) -> Answer:
        headers = {"Accept": accept or "application/json"} | ({"Content-Type": sent} if content is not None else {})
        response = self._http.request(method, path, content=content, headers=headers, params=query)
        try:
            parsed = response.json()
        except ValueError:
            parsed = {"text": response.text}
        return Answer(response.status_code, parsed, response.headers)

    def get(self, path: str, accept: str = "", **query: str) -> Answer:
        return self.call("GET", path, accept=accept, **query)

    def post(self, path: str, body: Any, **query: str) -> Answer:
        return self.call("POST", path, body, **query)

    def put(self, path: str, body: Any) -> Answer:
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Any, sent: str = MERGE, **query: str) -> Answer:
        return self.call("PATCH", path, body, sent, **query)

    def apply(self, path: str, body: Any, manager: str, **query: str) -> Answer:
        return self.call("PATCH", path, body, APPLY, fieldManager=manager, **query)

    def delete(self, path: str, body: Any = None, **query: str) -> Answer:
        return self.call("DELETE", path, body, **query)

    def made(self, path: str, body: Any) -> Object:
        """POST that has to succeed; the object."""
        answer = self.post(path, body)
        assert answer.code == 201, answer.body
        return answer.body

    def gone(self, path: str) -> bool:
        return self.get(path).code == 404

    @contextlib.contextmanager
    def watching(self, path: str, **query: str) -> Iterator["Watch"]:
        """On a connection of its own."""
        with self._connection() as http, http.stream("GET", path, params={"watch": "1", **query}) as response:
            yield Watch(response)


class Watch:
    """What a watch tells; reading waits."""

    def __init__(self, response: httpx.Response) -> None:
        self.code = response.status_code
        self.seen: list[Object] = []
        self._lines = response.iter_lines()

    def until(self, enough: Callable[[list[Object]], Any]) -> list[Object]:
        """Everything seen once it is enough; AssertionError where the watch ends before."""
        while not enough(self.seen):
            line = next(self._lines, None)
            assert line is not None, f"the watch ended after {[event['type'] for event in self.seen]}"
            self.seen.append(json.loads(line))
        return self.seen

    def types_of(self, name: str, count: int) -> list[str]:
        """The types of the first `count` events about an object."""
        self.until(lambda seen: len(_about(seen, name)) >= count)
        return _about(self.seen, name)

    def end(self) -> list[Object]:
        self.seen += [json.loads(line) for line in self._lines]
        return self.seen


def _about(seen: list[Object], name: str) -> list[str]:
    return [event["type"] for event in seen if event["object"].get("metadata", {}).get("name") == name]


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)
