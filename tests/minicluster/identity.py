"""Who a token stands for, the certificate authority, and kubeconfig files that carry both."""

import base64
import secrets
import ssl
from pathlib import Path

import trustme
import yaml

from minicluster.rbac import MASTERS, User, service_account, user_named

HOST = "127.0.0.1"
ADMIN = user_named("kubernetes-admin", [MASTERS])


class Tokens:
    def __init__(self) -> None:
        self.admin = secrets.token_urlsafe(24)
        self._users: dict[str, User] = {self.admin: ADMIN}

    def mint(self, user: User) -> str:
        token = secrets.token_urlsafe(24)
        self._users[token] = user
        return token

    def for_service_account(self, namespace: str, name: str) -> str:
        return self.mint(service_account(namespace, name))

    def user(self, token: str) -> User | None:
        return self._users.get(token)


class Authority:
    """A certificate authority of this one run."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="minicluster")
        names = (HOST, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        self._certificate = self._authority.issue_cert(*names)

    @property
    def pem(self) -> str:
        return self._authority.cert_pem.bytes().decode()

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        return context


def write_kubeconfig(path: Path, url: str, ca_pem: str, token: str, name: str, namespace: str = "default") -> None:
    authority = {"certificate-authority-data": base64.b64encode(ca_pem.encode()).decode()} if ca_pem else {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "clusters": [{"name": name, "cluster": {"server": url, **authority}}],
        "users": [{"name": name, "user": {"token": token}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
