"""The load: a process of its own that keeps N connections busy and records how long every answer took.

Closed loop: a connection sends its next request when the answer to the last one is complete. Requests are bytes made
beforehand. Prints one line of JSON: requests/s, latencies in ms, statuses other than 200, the share of one processor that
this process took.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

from benchmarks.serving.figures import percentile

BOUNDARY = b"benchmark-7d0f3a"
TAIL = b"\r\n--" + BOUNDARY + b"--\r\n"
END_OF_HEAD = b"\r\n\r\n"
PATIENCE_SECONDS = 60.0


def part(picture: bytes, name: str) -> bytes:
    """The form's body before TAIL."""
    head = f'Content-Disposition: form-data; name="img"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + picture


def request_of(picture: bytes, name: str) -> bytes:
    """A whole request, head and form."""
    body = part(picture, name) + TAIL
    head = (
        "POST /validate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Tally:
    """What all connections saw after the warm-up."""

    def __init__(self, starts: float, ends: float) -> None:
        self.starts = starts
        self.ends = ends
        self.milliseconds: list[float] = []
        self.failures: dict[str, int] = {}

    def count(self, sent: float, status: str) -> bool:
        """Take one answer; whether another request should follow."""
        now = time.perf_counter()
        if self.starts <= now < self.ends:
            if status == "200":
                self.milliseconds.append(1_000 * (now - sent))
            else:
                self.failures[status] = self.failures.get(status, 0) + 1
        return now < self.ends


class Connection(asyncio.Protocol):
    """One keep-alive connection. `over` is done when the time is, or the server hung up."""

    def __init__(self, requests: list[bytes], position: int, tally: Tally) -> None:
        self.requests = requests
        self.position = position
        self.tally = tally
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""
        self.missing = -1
        self.status = ""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.received, self.missing = b"", -1
        self.position = (self.position + 1) % len(self.requests)
        self.sent = time.perf_counter()
        self.transport.write(self.requests[self.position])

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.received += data
            if END_OF_HEAD not in self.received:
                return
            head, _, data = self.received.partition(END_OF_HEAD)
            self.status = head[9:12].decode()
            self.missing = length_of(head)
        self.missing -= len(data)
        if self.missing > 0:
            return
        if self.tally.count(self.sent, self.status):
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self.tally.ends:
            self.tally.count(self.sent, "connection lost")
        if not self.over.done():
            self.over.set_result(None)


def length_of(head: bytes) -> int:
    """The Content-Length of an answer. Raises ValueError."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise ValueError(f"an answer without Content-Length: {head!r}")


async def load(port: int, concurrency: int, pictures: list[bytes], warm_up: float, seconds: float) -> Tally:
    """Keep `concurrency` connections busy for `warm_up` and then `seconds`."""
    started = time.perf_counter() + warm_up
    tally = Tally(started, started + seconds)
    loop = asyncio.get_running_loop()
    connections = []
    for number in range(concurrency):
        requests = [request_of(data, f"{number}-{index}.jpg") for index, data in enumerate(pictures)]
        connection = Connection(requests, number, tally)
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)
        connections.append(connection)
    await asyncio.wait_for(
        asyncio.gather(*(connection.over for connection in connections)), warm_up + seconds + PATIENCE_SECONDS
    )
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(options.pictures.glob("served-*.jpg"))]
    processor, wall = time.process_time(), time.perf_counter()
    tally = asyncio.run(load(options.port, options.concurrency, pictures, options.warm_up, options.seconds))
    share = (time.process_time() - processor) / (time.perf_counter() - wall)
    times = sorted(tally.milliseconds)
    print(
        json.dumps(
            {
                "rate": len(times) / options.seconds,
                "answers": len(times),
                "p50": percentile(times, 0.50) if times else None,
                "p99": percentile(times, 0.99) if times else None,
                "failures": tally.failures,
                "processor": share,
            }
        )
    )


if __name__ == "__main__":
    main()
