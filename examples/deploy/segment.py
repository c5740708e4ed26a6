"""Segment a photo with a file that `bpkd export` wrote: no bpkd, no torch.

pip install onnxruntime pillow numpy
python segment.py student.onnx photo.jpg overlay.png
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def segment(model: str, photo: str, overlay: str) -> dict[str, float]:
    """Write a photo with its classes laid over it; the share of the pixels that each class has."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    classes, palette = json.loads(said["classes"]), json.loads(said["palette"])
    image = Image.open(photo).convert("RGB")
    if (size := json.loads(said["size"])) is not None:
        image = image.resize((size[1], size[0]))
    pixels = np.asarray(image)
    images = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255
    (output,) = session.run(None, {"images": images})
    labels = output[0] if output.ndim == 3 else output[0].argmax(axis=0)
    colours = np.array(palette, dtype=np.uint8)[labels.astype(int)]
    if labels.shape != pixels.shape[:2]:  # exported with --at network
        colours = np.asarray(Image.fromarray(colours).resize(image.size, Image.Resampling.NEAREST))
    Image.fromarray((0.4 * pixels + 0.6 * colours).astype(np.uint8)).save(overlay)
    return {name: float((labels == index).mean()) for index, name in enumerate(classes)}


if __name__ == "__main__":
    for name, share in segment(*sys.argv[1:4]).items():
        print(f"{100 * share:5.1f} %  {name}")
