"""Starts one container's process in a room of its own. Run as a script by rooms.py, with a JSON order as its last argument.

With `isolate` the process gets a private root: the machine's files as they are, its volumes at their mount paths, its own
process numbers (it is number 1, as in a container), and it ends with whoever started it. Nothing of the machine changes.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

NEW_MOUNTS, NEW_USER, NEW_PIDS = 0x20000, 0x10000000, 0x20000000
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
SET_DEATH_SIGNAL = 1
MOUNT_SETATTR, ALL_BELOW, HERE, READ_ONLY = 442, 0x8000, -100, 1

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    names = [name.encode() if name is not None else None for name in (source, target, kind)]
    checked(libc.mount(*names, ctypes.c_ulong(flags), None), f"mount {source} at {target}")


def make_read_only(target: str, below: int = 0) -> None:
    wanted = (ctypes.c_uint64 * 4)(READ_ONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    checked(libc.syscall(MOUNT_SETATTR, HERE, target.encode(), below, wanted, size), f"make {target} read-only")


def make_place(source: str, target: str) -> None:
    """What a mount needs to stand on."""
    place = Path(target)
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        place.mkdir()
    else:
        place.touch()


def bind(source: str, target: str) -> None:
    make_place(source, target)
    mount(source, target, None, BIND | RECURSIVE)


def mirror(path: Path, root: str, places: set[str]) -> None:
    """Show the machine's `path` below `root`, split where one of `places` lies in it."""
    target = Path(root + str(path))
    below = {place for place in places if place.startswith(str(path).rstrip("/") + "/")}
    if str(path) in (*places, "/proc"):
        return
    if path.is_symlink():
        target.symlink_to(path.readlink())
    elif below:
        target.mkdir(exist_ok=True)
        for entry in path.iterdir() if path.is_dir() else ():
            mirror(entry, root, below)
    elif path.exists():
        bind(str(path), str(target))


def furnish(root: str, mounts: list[tuple[str, str, bool]], keep: list[str]) -> None:
    """A new root with the machine's files, read-only, and the volumes; `keep` are folders that no volume may hide."""
    mount("none", "/", None, RECURSIVE | PRIVATE)
    mount("tmpfs", root, "tmpfs", 0)
    real = [(source, os.path.realpath(target), fixed) for source, target, fixed in mounts]
    hidden = [path for path in keep if any(path.startswith(target + "/") for _, target, _ in real)]
    volumes = sorted(real + [(path, path, False) for path in hidden], key=lambda entry: len(entry[1]))
    mirror(Path("/"), root, {target for _, target, _ in volumes})
    for source, target, _ in volumes:
        make_place(source, root + target)
    Path(root + "/proc").mkdir()
    make_read_only(root, ALL_BELOW)
    for source, target, _ in volumes:
        bind(source, root + target)
    for _, target, fixed in volumes:
        if fixed:
            make_read_only(root + target)
    mount("proc", root + "/proc", "proc", 0)
    os.chroot(root)


def leave_namespaces() -> None:
    """Into namespaces of our own; without rights of root through a user namespace in which we stay who we are."""
    user, group = os.getuid(), os.getgid()
    if user == 0 and libc.unshare(NEW_MOUNTS | NEW_PIDS) == 0:
        return
    checked(libc.unshare(NEW_USER | NEW_MOUNTS | NEW_PIDS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def die_with_parent() -> None:
    libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL)


def watch_over(child: int, ready: int) -> int:
    """Hand signals on to the container's process; its exit code, 128 + the signal where one ended it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda caught, _: os.kill(child, caught))
    os.close(ready)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def main(order: dict[str, Any], ready: int) -> None:
    """`ready` is closed when the container's process runs and gets its signals."""
    die_with_parent()
    os.set_inheritable(ready, False)
    if order["isolate"]:
        leave_namespaces()
        if child := os.fork():
            os._exit(watch_over(child, ready))
        die_with_parent()
        furnish(order["root"], order["mounts"], order["keep"])
    argv, cwd = order["argv"], order["cwd"]
    os.chdir(cwd)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[2]), int(sys.argv[1]))
    except OSError as problem:
        print(f"cannot start the container: {problem}", file=sys.stderr)
        os._exit(128)
