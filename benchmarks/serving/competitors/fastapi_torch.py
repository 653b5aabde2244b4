"""(b) FastAPI with torch in eager mode, written with care: in memory, in threads, channels last, no gradients."""

from io import BytesIO
from typing import Any

import torch
from benchmarks.serving.competitors import common
from fastapi import FastAPI, UploadFile
from PIL import Image

facts = common.manifest()
model = common.torch_model(len(facts.classes))
transform = common.torch_transform(facts.preprocessing)
app = FastAPI()


@app.post("/validate")
def validate(img: UploadFile) -> dict[str, Any]:
    image = Image.open(BytesIO(img.file.read())).convert("RGB")
    with torch.inference_mode():
        pixels = transform(image)[None].to(memory_format=torch.channels_last)
        confidences = model(pixels).softmax(dim=1)[0]
    best = int(confidences.argmax())
    return {"prediction": facts.classes[best], "confidence": float(confidences[best])}
