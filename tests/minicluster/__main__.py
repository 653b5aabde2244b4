"""`python -m minicluster --dir DIR`: run a cluster until SIGTERM. The first line on stdout, JSON, says that it is ready."""

import argparse
import asyncio
import ctypes
import json
import logging
import signal
from pathlib import Path

import yaml

from minicluster.cluster import MiniCluster
from minicluster.images import Images, autotrain_images, load_images
from minicluster.settings import Settings

SET_DEATH_SIGNAL = 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="minicluster", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="an empty folder: kubeconfig, pods' files, volumes")
    parser.add_argument("--images", type=Path, help="YAML: pattern -> {entrypoint, command, env}, before our own")
    parser.add_argument("--port", type=int, default=0, help="of the API on 127.0.0.1; absent: a free one")
    parser.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu of the node")
    parser.add_argument("--no-isolation", action="store_true", help="rewrite paths even where namespaces would work")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    parser.add_argument("--log-level", default="WARNING")
    return parser.parse_args()


def settings_of(options: argparse.Namespace) -> Settings:
    capacity = Settings().node_capacity | ({"nvidia.com/gpu": str(options.gpus)} if options.gpus else {})
    return Settings(node_capacity=capacity, isolate=False if options.no_isolation else None)


def images_of(options: argparse.Namespace) -> Images:
    given = load_images(yaml.safe_load(options.images.read_text())) if options.images else {}
    return {**given, **autotrain_images()}


async def run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with MiniCluster(options.dir, images_of(options), settings_of(options), options.port) as cluster:
        print(json.dumps({"kubeconfig": str(cluster.kubeconfig), "url": cluster.url}), flush=True)
        await stop.wait()


def main() -> None:
    options = arguments()
    if options.with_parent:
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
    logging.basicConfig(level=options.log_level, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
