"""One container: its process, its restarts, its ending, and the containerStatus that tells of them."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from minicluster.api import Api, Object
from minicluster.controllers.base import record
from minicluster.images import Images, find_image
from minicluster.kubelet import probes
from minicluster.kubelet.environment import ConfigError, environment, expand
from minicluster.kubelet.probes import Prober
from minicluster.kubelet.rooms import Mount, Room, Start, kill_group
from minicluster.settings import Settings
from minicluster.store import now

COMPONENT = "kubelet"
MESSAGE_BYTES, LOG_MESSAGE_BYTES, LOG_MESSAGE_LINES = 4096, 2048, 80
STEADY_SECONDS = 600
"""A container that ran so long starts over with the shortest back-off."""


@dataclass(frozen=True)
class Machine:
    """What containers share."""

    api: Api
    settings: Settings
    images: Images
    session: aiohttp.ClientSession
    isolate: bool
    service_env: Mapping[str, str]


class Container:
    """`changed` is called whenever the status is another."""

    def __init__(self, machine: Machine, pod: Object, spec: Object, folder: Path, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: Object = {}
        self.restarts = 0
        self.ready = False
        self.started = False
        self.killed_for_memory = False
        self.logs: list[Path] = []
        self.writing: Path | None = None
        """The log that may still grow."""
        self._machine = machine
        self._pod = pod
        self._folder = folder
        self._changed = changed
        self._mounts: list[Mount] = []
        self._room: Room | None = None
        self._env: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._stop_asked = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)

    # --- what is told

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        ended = self.state.get("terminated") or {}
        return ended.get("exitCode")

    def status(self) -> Object:
        image = self.spec["image"]
        told = {"name": self.name, "image": image, "imageID": f"minicluster://{image}" if self.logs else ""}
        return {
            **told,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    def _set(self, state: Object) -> None:
        self.state = state
        self._changed()

    def _wait(self, reason: str, message: str = "") -> None:
        self._set({"waiting": {"reason": reason, **({"message": message} if message else {})}})

    def _event(self, reason: str, message: str, warning: bool = False) -> None:
        record(self._machine.api, self._pod, reason, message, COMPONENT, warning)

    # --- running

    async def run(self, mounts: list[Mount], restart: str) -> None:
        """Until it ended and is not to be started again. `restart` is the pod's restartPolicy."""
        self._mounts = mounts
        crashes = 0
        while not self._stopping:
            ready_to_start = await self._prepare()
            if ready_to_start is None:
                return
            seconds = await self._run_once(ready_to_start)
            if self._stopping or restart == "Never" or (restart == "OnFailure" and self.exit_code == 0):
                return
            crashes = 1 if seconds > STEADY_SECONDS else crashes + 1
            await self._back_off(crashes)

    async def _back_off(self, crashes: int) -> None:
        settings = self._machine.settings
        if crashes > 1:
            wait = min(settings.most_backoff_seconds, settings.crash_backoff_seconds * 2 ** (crashes - 2))
            self.last_state, place = self.state, f"{self.name} pod={self._pod['metadata']['name']}"
            self._wait("CrashLoopBackOff", f"back-off {wait:g}s restarting failed container={place}")
            self._event("BackOff", f"Back-off restarting failed container {place}", warning=True)
            await self._pause(wait)
        if not self._stopping:
            self.last_state = self.last_state if "terminated" not in self.state else self.state
            self.restarts += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop_asked.wait(), seconds)

    async def _prepare(self) -> Start | None:
        """Image and variables, as soon as both are there; None when the pod goes first."""
        while not self._stopping:
            image = find_image(self._machine.images, self.spec["image"])
            if image is None:
                await self._pull_in_vain()
                continue
            given = {"PATH": os.environ["PATH"], "HOME": "/", "HOSTNAME": hostname(self._pod)}
            own = {"POD_IP": self._pod["status"]["podIP"]}
            image_env = {name: expand(value, own) for name, value in image.env.items()}
            try:
                known = {**given, **self._machine.service_env, **image_env}
                self._env = environment(self._machine.api, self._pod, self.spec, known)
            except ConfigError as error:
                self._wait("CreateContainerConfigError", str(error))
                self._event("Failed", f"Error: {error}", warning=True)
                await self._pause(self._machine.settings.pull_backoff_seconds)
                continue
            argv = [expand(text, self._env) for text in command_of(self.spec, image.entrypoint, image.command)]
            return self._furnish(argv)
        return None

    async def _pull_in_vain(self) -> None:
        image, wait = self.spec["image"], self._machine.settings.pull_backoff_seconds
        why = f'failed to pull and unpack image "{image}": not in minicluster\'s image mapping'
        self._event("Failed", f'Failed to pull image "{image}": {why}', warning=True)
        if self.spec.get("imagePullPolicy") == "Never":
            self._wait("ErrImageNeverPull", f'Container image "{image}" is not present with pull policy of Never')
            await self._pause(wait)
            return
        self._wait("ErrImagePull", why)
        await self._pause(wait)
        if not self._stopping:
            self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}')
            await self._pause(4 * wait)

    def _furnish(self, argv: list[str]) -> Start:
        folder = self._folder / str(self.restarts)
        folder.mkdir(exist_ok=True)
        message = folder / "termination-log"
        message.touch()
        path = self.spec.get("terminationMessagePath") or "/dev/termination-log"
        mounts = [*self._mounts, Mount(message, path)]
        fixed = (self.spec.get("securityContext") or {}).get("readOnlyRootFilesystem")
        if not fixed and all(mount.target != "/tmp" for mount in mounts):
            (folder / "tmp").mkdir(exist_ok=True)
            mounts.append(Mount(folder / "tmp", "/tmp"))
        self._room = Room(folder, mounts, self._pod["status"]["podIP"], self._machine.isolate)
        if not self._machine.isolate:
            tmp = next((mount for mount in mounts if mount.target == "/tmp"), None)
            self._env.setdefault("TMPDIR", "/tmp" if tmp else str(folder))
        return self._room.start(argv, self._env, self.spec.get("workingDir", ""))

    async def _run_once(self, start: Start) -> float:
        began, loop = now(), asyncio.get_running_loop()
        since = loop.time()
        log = self._folder / str(self.restarts) / "log"
        self.logs.append(log)
        self.writing = log
        program = start.program
        if shutil.which(program, path=self._env.get("PATH")) is None:
            self._cannot_start(program, log)
            return 0
        with log.open("wb") as output:
            self._process = await start.launch(output)
        if self._stopping:
            self.kill()
        self._event("Started", "Container started")
        self._set({"running": {"startedAt": began}})
        prober = Prober(self.spec, self._look, self._sleep, self._restart, self._set_ready)
        watching = asyncio.create_task(prober.run())
        try:
            code = await self._process.wait()
        finally:
            watching.cancel()
            self.kill()
        self.ready = self.started = False
        self._end(began, code if code >= 0 else 128 - code)
        return loop.time() - since

    def _cannot_start(self, program: str, log: Path) -> None:
        log.touch()
        self.writing = None
        message = f'failed to create containerd task: exec: "{program}": executable file not found in $PATH'
        self._event("Failed", f"Error: {message}", warning=True)
        ended = {"exitCode": 128, "reason": "StartError", "message": message}
        self._set({"terminated": {**ended, "startedAt": "1970-01-01T00:00:00Z", "finishedAt": now()}})

    def _end(self, began: str, code: int) -> None:
        self.writing = None
        reason = "OOMKilled" if self.killed_for_memory else ("Completed" if code == 0 else "Error")
        self.killed_for_memory = False
        ended: Object = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now()}
        if message := self._termination_message(code):
            ended["message"] = message
        self._set({"terminated": ended})

    def _termination_message(self, code: int) -> str:
        folder = self._folder / str(self.restarts)
        with (folder / "termination-log").open("rb") as file:
            message = file.read(MESSAGE_BYTES)
        if not message and code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            lines = tail(folder / "log", 65_536).splitlines(keepends=True)[-LOG_MESSAGE_LINES:]
            message = b"".join(lines)[-LOG_MESSAGE_BYTES:]
        return message.decode(errors="replace")

    async def execute(self, command: list[str]) -> int:
        """In a room like the container's: same files, variables and address, its own process numbers."""
        if self._room is None:
            return 126
        start = self._room.start(command, self._env, self.spec.get("workingDir", ""))
        process = await start.launch(subprocess.DEVNULL)
        try:
            return await process.wait()
        finally:
            kill_group(process.pid)

    # --- probes

    def _set_ready(self, ready: bool) -> None:
        """By its probes: it has started, and whether it is ready."""
        if (self.started, self.ready) != (True, ready):
            self.started, self.ready = True, ready
            self._changed()

    async def _look(self, probe: Object, kind: str) -> str:
        address = self._pod["status"]["podIP"]
        problem = await probes.look(self._machine.session, probe, self.spec, address, self.execute)
        if problem and not self._stopping:
            self._event("Unhealthy", f"{kind} probe failed: {problem}", warning=True)
        return problem

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._machine.settings.seconds_factor)

    async def _restart(self, kind: str, probe: Object) -> None:
        if self._stopping:
            return
        self._event("Killing", f"Container {self.name} failed {kind} probe, will be restarted")
        grace = probe.get("terminationGracePeriodSeconds", self._pod["spec"].get("terminationGracePeriodSeconds", 30))
        task = asyncio.create_task(self._terminate(grace))  # not in the probe's task, which ends with the process
        await asyncio.shield(task)

    # --- stopping

    async def stop(self, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace period is over. It is not started again."""
        self._stopping = True
        self._stop_asked.set()
        if self.running:
            self._event("Killing", f"Stopping container {self.name}")
            await self._terminate(grace)

    async def _terminate(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + grace
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and self.running and grace > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._pre_stop(hook)
            due = max(due, loop.time() + 2)
        self._signal(signal.SIGTERM)
        if self._process is not None and grace > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._process.wait()
        self.kill()

    async def _pre_stop(self, hook: Object) -> None:
        if "sleep" in hook:
            await self._sleep(hook["sleep"]["seconds"])
            return
        try:
            if "exec" in hook:
                code = await self.execute(hook["exec"]["command"])
                problem = f"exited with {code}" if code else ""
            else:
                address = self._pod["status"]["podIP"]
                problem = await probes.http_get(self._machine.session, hook["httpGet"], self.spec, address)
        except (OSError, aiohttp.ClientError) as error:
            problem = str(error)
        if problem:
            self._event("FailedPreStopHook", f"PreStopHook failed: {problem}", warning=True)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)  # Process.send_signal would take the exit code from under asyncio

    def kill(self) -> None:
        """The process and whatever it left behind in its group."""
        if self._process is not None:
            kill_group(self._process.pid)


def hostname(pod: Object) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]


def command_of(spec: Object, entrypoint: tuple[str, ...], command: tuple[str, ...]) -> list[str]:
    """`command` replaces ENTRYPOINT and with it CMD; `args` replaces CMD."""
    if spec.get("command"):
        return [*spec["command"], *(spec.get("args") or ())]
    return [*entrypoint, *(spec.get("args") or command)]


def tail(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()
