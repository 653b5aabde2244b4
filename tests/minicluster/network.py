"""Two networks of this machine for one cluster: all of 127/8 is local, so several clusters can run side by side."""

import errno
import socket
from dataclasses import dataclass

MOST_CLUSTERS = 100


@dataclass(frozen=True)
class Networks:
    """The first half of pod and Service addresses, such as 127.1 and 127.2; claimed as long as `claim` is open."""

    pods: str
    services: str
    claim: socket.socket


def claim_networks() -> Networks:
    """The first pair that no other cluster of this machine has."""
    for number in range(MOST_CLUSTERS):
        pods, services = f"127.{2 * number + 1}", f"127.{2 * number + 2}"
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0minicluster-{pods}")  # a name without a file, gone with its process
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return Networks(pods, services, claim)
    raise RuntimeError(f"{MOST_CLUSTERS} miniclusters run on this machine; stop some of them")
