"""(c) LitServe with torch in eager mode."""

from io import BytesIO
from typing import Any

import litserve
import torch
from benchmarks.serving.competitors import common
from fastapi import Request
from PIL import Image


class TorchApi(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.facts = common.manifest()
        self.model = common.torch_model(len(self.facts.classes))
        self.transform = common.torch_transform(self.facts.preprocessing)

    def decode_request(self, request: Request) -> torch.Tensor:
        return self.transform(Image.open(BytesIO(request[common.FIELD].file.read())).convert("RGB"))

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        batch = pixels if pixels.ndim == 4 else pixels[None]
        with torch.inference_mode():
            confidences = self.model(batch.to(memory_format=torch.channels_last)).softmax(dim=1)
        return confidences if pixels.ndim == 4 else confidences[0]

    def encode_response(self, confidences: torch.Tensor) -> dict[str, Any]:
        best = int(confidences.argmax())
        return {"prediction": self.facts.classes[best], "confidence": float(confidences[best])}


if __name__ == "__main__":
    common.run_litserve(TorchApi)
