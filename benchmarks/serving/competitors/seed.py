"""(a) The way the project began: the upload is saved to disk, fastai's `learn.predict` reads it, the event loop waits."""

from io import BytesIO
from typing import Any

import torch
from benchmarks.serving.competitors import common
from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, Normalize, Resize
from fastapi import FastAPI, UploadFile
from PIL import Image

facts = common.manifest()
dataloaders = ImageDataLoaders.from_folder(
    common.DATA,
    valid_pct=0.2,
    seed=1,
    bs=8,
    num_workers=0,
    item_tfms=Resize(facts.preprocessing.height),
    batch_tfms=Normalize.from_stats(facts.preprocessing.mean, facts.preprocessing.std),
)
learner = Learner(dataloaders, common.torch_model(len(facts.classes)), loss_func=CrossEntropyLossFlat())
common.UPLOADS.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(common.THREADS)
app = FastAPI()


@app.post("/validate")
async def validate(img: UploadFile) -> dict[str, Any]:
    image = Image.open(BytesIO(img.file.read()))
    path = common.UPLOADS / str(img.filename)
    image.save(path)
    with learner.no_bar(), learner.no_logging():
        prediction, _, confidences = learner.predict(path)
    return {"prediction": prediction, "confidence": f"{max(confidences) * 100:.2f}%"}
