"""The HTTP server: who asks, whether they may, what goes wrong on purpose, and the paths that name no kind."""

import json
import logging
from pathlib import Path

from aiohttp import web

from minicluster import discovery, identity, openapi
from minicluster.api import Api
from minicluster.calls import Call, parse
from minicluster.endpoints import Endpoints, cut
from minicluster.errors import ApiError, no_such_path
from minicluster.faults import Faults, strike
from minicluster.rbac import Rbac, User, user_named
from minicluster.resources import Object

LOG = logging.getLogger(__name__)
LARGEST_BODY = 8 << 20
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
_UNAUTHORIZED = ApiError(401, "Unauthorized", "Unauthorized")


class Server:
    """Serves an Api over HTTPS on this machine."""

    def __init__(self, api: Api, *, tls: bool = True) -> None:
        self.api = api
        self.faults = Faults()
        self.tokens = identity.Tokens()
        self.rbac = Rbac(api.store, api.resources)
        self._authority = identity.Authority() if tls else None
        self._endpoints = Endpoints(api, self.rbac, self.tokens)
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self, port: int = 0) -> None:
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        context = self._authority.server_context() if self._authority else None
        site = web.TCPSite(self._runner, identity.HOST, port, ssl_context=context)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self._authority else 'http'}://{identity.HOST}:{self._port}"

    @property
    def ca_pem(self) -> str:
        """ "" where the server speaks plain HTTP."""
        return self._authority.pem if self._authority else ""

    @property
    def admin_token(self) -> str:
        return self.tokens.admin

    def token_for(self, namespace: str, service_account: str) -> str:
        """A bearer token with the rights of a service account, which need not exist."""
        return self.tokens.for_service_account(namespace, service_account)

    def write_kubeconfig(
        self, path: Path, token: str = "", *, name: str = "test-minicluster", namespace: str = "default"
    ) -> None:
        """For the administrator unless a token says otherwise."""
        identity.write_kubeconfig(path, self.url, self.ca_pem, token or self.admin_token, name, namespace)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = parse(request.method, request.path, request.query)
        try:
            return await self._answer(request, call)
        except ApiError as error:
            return _refusal(error)
        except ConnectionError:
            raise
        except Exception as error:
            LOG.exception("%s %s", request.method, request.path_qs)
            return _refusal(ApiError(500, "InternalError", f"Internal error occurred: {error!r}"))

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        user = self._user(request, call)
        faults = self.faults.meeting(call)
        await strike(faults)
        if call.path.rstrip("/") not in _PUBLIC:
            self.rbac.check(user, call)
        if call.plural:
            response = await self._endpoints.answer(request, call, user, faults)
        else:
            response = self._other(request, call)
        if any(fault.lose_answer for fault in faults):
            cut(request)
        return response

    def _user(self, request: web.Request, call: Call) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        user = self.tokens.user(token)
        if user is None:
            if not token and call.path.rstrip("/") in _PUBLIC:
                return User("system:anonymous", ("system:unauthenticated",))
            raise _UNAUTHORIZED
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        asked = Call("POST", call.path, "impersonate", {}, plural="users", name=name)
        self.rbac.check(user, asked)
        return user_named(name, request.headers.getall("Impersonate-Group", []))

    def _other(self, request: web.Request, call: Call) -> web.Response:
        parts = [part for part in call.path.split("/") if part]
        if call.verb != "get":
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if parts and parts[0] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        form = discovery.wants_aggregated(request.headers.get("Accept", ""))
        if parts in (["api"], ["apis"]) and form:
            names = [""] if parts == ["api"] else discovery.groups(self.api.resources)
            return discovery.aggregated(self.api.resources, names, form)
        return _json(self._document(parts))

    def _document(self, parts: list[str]) -> Object:
        resources = self.api.resources
        match parts:
            case []:
                return {
                    "paths": [
                        "/api",
                        "/apis",
                        "/healthz",
                        "/livez",
                        "/openapi/v2",
                        "/openapi/v3",
                        "/readyz",
                        "/version",
                    ]
                }
            case ["version"]:
                return discovery.VERSION
            case ["api"]:
                return discovery.core_versions()
            case ["apis"]:
                return discovery.group_list(resources)
            case ["api", "v1"]:
                return discovery.resource_list(resources, "", "v1")
            case ["apis", group] if group in discovery.groups(resources):
                return {"kind": "APIGroup", "apiVersion": "v1", **discovery.group(resources, group)}
            case ["apis", group, version] if resources.of(group, version):
                return discovery.resource_list(resources, group, version)
            case ["openapi", "v2"]:
                return openapi.version_2()
            case ["openapi", "v3"]:
                return openapi.version_3_index(resources)
            case ["openapi", "v3", *path]:
                return openapi.version_3(resources, "/".join(path))
        raise no_such_path()


def _json(item: Object, code: int = 200) -> web.Response:
    return web.Response(body=json.dumps(item).encode(), status=code, content_type="application/json")


def _refusal(error: ApiError) -> web.Response:
    response = _json(error.status(), error.code)
    if "retryAfterSeconds" in error.details:
        response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return response
