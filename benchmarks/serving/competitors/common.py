"""What several competitors need: their settings from the environment, and the bundle's weights in a torch model.

Nothing is imported before it is needed, since the time to the first answer is measured.
"""

import os
from pathlib import Path
from typing import Any

FIELD = "img"
BUNDLE = Path(os.environ["BENCH_BUNDLE"])
DATA = Path(os.environ["BENCH_DATA"])
UPLOADS = Path(os.environ["BENCH_UPLOADS"])
PORT = int(os.environ["BENCH_PORT"])
PRECISION = os.environ["BENCH_PRECISION"]
THREADS = int(os.environ.get("BENCH_THREADS", "1"))
BATCH = int(os.environ.get("BENCH_BATCH", "1"))
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
THREADS_AVAILABLE = len(os.sched_getaffinity(0))
BATCH_TIMEOUT_SECONDS = 0.005
FAST_QUEUE = bool(int(os.environ.get("BENCH_FAST_QUEUE", "0")))


def manifest() -> Any:
    from autotrain_api.bundle import read_manifest

    return read_manifest(BUNDLE)


def torch_model(classes: int) -> Any:
    """timm's resnet18 with the bundle's weights, as one would load it by hand."""
    import timm
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(THREADS)
    weights = load_file(BUNDLE / "weights.safetensors")
    model = timm.create_model("resnet18", num_classes=classes)
    model.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in weights.items()})
    return model.eval().to(memory_format=torch.channels_last)


def torch_transform(preprocessing: Any) -> Any:
    """timm's own evaluation transform: PIL picture -> float32 [3, height, width]."""
    from timm.data import create_transform

    return create_transform(
        (3, preprocessing.height, preprocessing.width),
        interpolation=preprocessing.interpolation.lower(),
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=preprocessing.crop_fraction,
    )


def run_litserve(api: Any) -> None:
    """Serve a LitAPI class until the process is ended."""
    import litserve

    batching = {"max_batch_size": BATCH, "batch_timeout": BATCH_TIMEOUT_SECONDS} if BATCH > 1 else {}
    server = litserve.LitServer(
        api(api_path="/validate", **batching), "cpu", workers_per_device=WORKERS, fast_queue=FAST_QUEUE
    )
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False, access_log=False)
