"""(f) The limit: decode and a batched forward pass in a loop, no HTTP. Prints one line of JSON.

`workers` loops run beside each other, each with a stream of its own; `threads` compute in all of them together.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
from benchmarks.serving.competitors import common

from autotrain_server.engine import HINTS
from autotrain_server.preprocess import decode

FACTS = common.manifest()


def compiled(hint: str, streams: int, threads: int) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[common.PRECISION],
        "PERFORMANCE_HINT": hint,
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(threads),
        "ENABLE_CPU_PINNING": "NO",
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(str(common.BUNDLE / "model.onnx")), "CPU", settings)


def answer(request: openvino.InferRequest, pictures: list[bytes]) -> None:
    request.infer({0: np.stack([decode(data, FACTS.preprocessing) for data in pictures])})


def throughput(pictures: list[bytes], seconds: float) -> float:
    """Pictures per second of all loops together, after a third of the time."""
    model = compiled("THROUGHPUT", common.WORKERS, common.THREADS)
    started = time.perf_counter() + seconds / 3
    ends = started + seconds

    def loop(worker: int) -> int:
        request, done, position = model.create_infer_request(), 0, worker
        while (now := time.perf_counter()) < ends:
            answer(request, [pictures[(position + step) % len(pictures)] for step in range(common.BATCH)])
            position += common.BATCH
            done += common.BATCH if now >= started else 0
        return done

    with ThreadPoolExecutor(common.WORKERS) as loops:
        done = sum(loops.map(loop, range(common.WORKERS)))
    return done / (time.perf_counter() - started)


def alone(pictures: list[bytes], seconds: float) -> float:
    """Milliseconds from bytes to scores of one picture with every processor at its service, the median."""
    request = compiled("LATENCY", 1, common.THREADS_AVAILABLE).create_infer_request()
    milliseconds, ends, position = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < ends:
        started = time.perf_counter()
        answer(request, [pictures[position % len(pictures)]])
        milliseconds.append(1_000 * (time.perf_counter() - started))
        position += 1
    return statistics.median(milliseconds[len(milliseconds) // 5 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(arguments.pictures.glob("served-*.jpg"))]
    result = {"throughput": throughput(pictures, arguments.seconds), "alone": alone(pictures, arguments.seconds / 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
