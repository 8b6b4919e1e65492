"""Programs that run an exported file, as they are printed: each is whole and needs no more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

READ = """\
picture = ImageOps.exif_transpose(Image.open({picture!r}))
if picture.mode[0] in "IF":  # more than 8 bits, which Pillow's conversion would make white or black
    values = np.nan_to_num(np.asarray(picture, np.float64), posinf=0).clip(0, 2**31 - 1)
    values = (values * (255 if picture.mode == "F" and values.max() <= 1 else 1)).round()
    bits = next(bits for bits in (8, 10, 12, 14, 16, 24, 31) if values.max() < 2**bits)
    picture = Image.fromarray((values // 2 ** (bits - 8)).astype(np.uint8))
picture = picture.convert("RGB")
{resize}
{resample}
pixels = np.array(resized).transpose(2, 0, 1)
{canvas}"""
SMOOTHED = "resized = picture.resize((width, height), Image.Resampling.BILINEAR)"
SAMPLED = """\
step = (picture.width / width, 0, 0, 0, picture.height / height, 0)  # without antialiasing
bilinear = Image.Resampling.BILINEAR
resized = picture.transform((width, height), Image.Transform.AFFINE, step, bilinear)"""
RESIZE = """\
resize = notes["preprocessing"]["resize"]
scale = min(resize["max_size"] / max(picture.size), resize["short_side"] / min(picture.size))
width, height = (max(1, int(side * scale + resize["shift"])) for side in picture.size)"""
AS_IT_IS = "width, height = picture.size"
FIT = """
fit = min(1, {columns} / width, {rows} / height)
width, height = max(1, int(width * fit)), max(1, int(height * fit))"""
ANY = "images = pixels[None]  # of several pictures: each in its upper left corner"
FIXED = """\
images = np.zeros((1, 3, {rows}, {columns}), np.uint8)
images[0, :, :height, :width] = pixels"""
SIZES = "sizes = np.array([[height, width]])  # of the picture in its corner"
SHOW = """\
for box, score, label in zip(boxes[0], scores[0], labels[0]):
    if score >= {least}:  # empty rows have score 0
        x1, y1, x2, y2 = box * np.tile([picture.width / width, picture.height / height], 2)
        print(f"{{score:.3f}} {{names[label]}} {{x1:.1f}} {{y1:.1f}} {{x2:.1f}} {{y2:.1f}}")"""
MASK = """
# the mask of the best one: probabilities within its box, in pixels of the input
x1, y1, x2, y2 = np.rint(boxes[0, 0]).astype(int)
size = max(1, x2 - x1), max(1, y2 - y1)
inside = np.array(Image.fromarray(masks[0, 0]).resize(size, Image.Resampling.BILINEAR))
print((inside >= notes["postprocessing"]["mask_threshold"]).sum(), "pixels of mask")"""
LOADING = """\
import bacl

model = bacl.load({file!r})
found = model({picture!r}, threshold=0.5)
for name, score, box in zip(found.names, found.scores.tolist(), found.boxes.tolist()):
    print(f"{{score:.3f}} {{name}} {{box[0]:.1f}} {{box[1]:.1f}} {{box[2]:.1f}} {{box[3]:.1f}}")
"""
IMPORTS = "import numpy as np\n{runtime}\nfrom PIL import Image, ImageOps\n"

RUNTIMES = {
    "onnx": (
        "import onnxruntime",
        """\
session = onnxruntime.InferenceSession({file!r}, providers=["CPUExecutionProvider"])
texts = session.get_modelmeta().custom_metadata_map
notes = {{key: json.loads(text) for key, text in texts.items()}}""",
        '{outputs} = session.run(None, {{"images": images, "sizes": sizes}})',
    ),
    "torch": (
        "import torch\nimport torchvision  # not called: it brings operators that the file needs",
        """\
extra = {{"notes.json": ""}}
program = torch.export.load({file!r}, extra_files=extra).module()
notes = json.loads(extra["notes.json"])""",
        """\
with torch.no_grad():
    found = program(torch.from_numpy(images), torch.from_numpy(sizes))
{outputs} = (output.numpy() for output in found)""",
    ),
    "openvino": (
        "import openvino",
        """\
model = openvino.Core().read_model({file!r})  # and the .bin beside it
keys = model.get_rt_info(["model_info"]).value
texts = {{key: model.get_rt_info(["model_info", key]).astype(str) for key in keys}}
notes = {{key: json.loads(text) for key, text in texts.items()}}
program = openvino.compile_model(model, "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})""",
        "found = program([images, sizes])\n{outputs} = (found[port] for port in program.outputs)",
    ),
    "tensorrt": (
        "import tensorrt\nimport torch",
        """\
file = {file!r}
notes = json.load(open(file + ".json", encoding="utf-8"))
runtime = tensorrt.Runtime(tensorrt.Logger())
engine = runtime.deserialize_cuda_engine(open(file, "rb").read())
context = engine.create_execution_context()""",
        """\
given = {{"images": torch.from_numpy(images).cuda(), "sizes": torch.from_numpy(sizes).cuda()}}
for name, tensor in given.items():
    context.set_input_shape(name, tuple(tensor.shape))
    context.set_tensor_address(name, tensor.data_ptr())
types = {{tensorrt.float32: torch.float32, tensorrt.int64: torch.int64}}
found = {{}}
for name in ({quoted}):
    shape, kind = tuple(context.get_tensor_shape(name)), types[engine.get_tensor_dtype(name)]
    found[name] = torch.empty(shape, dtype=kind, device="cuda")
    context.set_tensor_address(name, found[name].data_ptr())
context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
torch.cuda.synchronize()
{outputs} = (tensor.cpu().numpy() for tensor in found.values())""",
    ),
}
"""By format: what to import, how to open the file, how to run it."""


def snippet(
    name: str, file: Path, notes: Mapping[str, Any], picture: Path | None, least: float = 0.5
) -> str:
    """The program that prints what a file of a format finds in a picture.

    Args:
        name: of the format.
        file: exported.
        notes: in it.
        picture: to look at; None: one that the user has to name.
        least: score of what is printed.
    """
    imported, opened, run = RUNTIMES[name]
    masks = notes["postprocessing"]["mask_threshold"] is not None
    outputs = ["boxes", "scores", "labels", *(["masks"] if masks else [])]
    filled = {
        "file": str(file), "outputs": ", ".join(outputs),
        "quoted": ", ".join(f'"{each}"' for each in outputs),
    }  # fmt: skip
    parts = [
        "import json\n\n" + IMPORTS.format(runtime=imported),
        opened.format(**filled),
        'names = notes["categories"]["names"]',
        _read(notes["preprocessing"], picture or Path("photo.jpg")),
        SIZES,
        run.format(**filled),
        SHOW.format(least=least) + (MASK if masks else ""),
    ]
    return "\n".join(parts) + "\n"


def _read(preprocessing: Mapping[str, Any], picture: Path) -> str:
    size = preprocessing["size"]
    rule = preprocessing["resize"]
    resize = AS_IT_IS if rule is None else RESIZE
    resample = SMOOTHED if rule is None or rule["antialias"] else SAMPLED
    canvas = ANY
    if size is not None:
        rows, columns = size
        resize += FIT.format(rows=rows, columns=columns)
        canvas = FIXED.format(rows=rows, columns=columns)
    return READ.format(picture=str(picture), resize=resize, resample=resample, canvas=canvas)


def loading(file: Path, picture: Path | None) -> str:
    """The program that prints what a file of weights finds in a picture, by this project."""
    return LOADING.format(file=str(file), picture=str(picture or "photo.jpg"))
