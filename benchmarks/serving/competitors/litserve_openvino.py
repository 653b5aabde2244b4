"""(d) LitServe with this project's decoder and engine: the same model, in the same precision."""

from typing import Any

import litserve
import numpy as np
from benchmarks.serving.competitors import common
from fastapi import Request

from autotrain_server.engine import OpenVinoEngine
from autotrain_server.preprocess import decode
from autotrain_server.tasks.classification import softmax


class OpenVinoApi(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.facts = common.manifest()
        self.engine = OpenVinoEngine(common.BUNDLE / "model.onnx", common.PRECISION, common.THREADS)

    def decode_request(self, request: Request) -> np.ndarray:
        return decode(request[common.FIELD].file.read(), self.facts.preprocessing)

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        return self.engine.scores(pixels) if pixels.ndim == 4 else self.engine.scores(pixels[None])[0]

    def encode_response(self, scores: np.ndarray) -> dict[str, Any]:
        confidences = softmax(scores)
        best = int(confidences.argmax())
        return {"prediction": self.facts.classes[best], "confidence": float(confidences[best])}


if __name__ == "__main__":
    common.run_litserve(OpenVinoApi)
