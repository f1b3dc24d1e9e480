#!/usr/bin/python3
"""Write torchvision's classifiers as ONNX files with their batch norms in place.

Needs Debian's python3-torch, python3-torchvision and python3-onnx. Weights come from a fixed seed;
each network sees a few random images in training mode first, so that its running statistics are
those of real activations. Files that are there already are left alone.

    /usr/bin/python3 tools/export_models.py OUTDIR [NAME ...]
"""
import os
import pathlib
import sys
import warnings

import torch
import torchvision

SIZES = {  # and the side of the square images that each takes; 224 for others that are named
    "resnet18": 224, "resnet50": 224, "resnet152": 224, "resnext50_32x4d": 224, "vgg16_bn": 224,
    "mobilenet_v2": 224, "mobilenet_v3_small": 224, "mnasnet1_0": 224, "shufflenet_v2_x1_0": 224,
    "squeezenet1_1": 224, "efficientnet_b0": 224, "regnet_y_400mf": 224, "densenet121": 224,
    "googlenet": 224, "inception_v3": 299, "convnext_tiny": 224,
}
SLOW_TO_INITIALIZE = {"googlenet", "inception_v3"}


def fill_zeros(model):
    """Gives what begins as zeros, like the head of a ViT and biases, numbers as training would."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)


def write(model, size, path, batch="batch"):
    """Shows the model random images and writes it, for batches of any size, or (None) of 1."""
    fill_zeros(model)
    images = torch.randn(4, 3, size, size)
    with torch.no_grad():
        model.train()(images)
        model(images.flip(0))
    part = path.with_suffix(".part")
    torch.onnx.export(
        model.eval(), images[:1], str(part), opset_version=14, do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE, input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {0: batch}, "output": {0: batch}} if batch else None)
    os.replace(part, path)  # so that an interrupted export isn't taken for a whole one
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr, flush=True)


def export(name, path):
    torch.manual_seed(0)
    options = {"init_weights": False} if name in SLOW_TO_INITIALIZE else {}
    write(getattr(torchvision.models, name)(weights=None, **options), SIZES.get(name, 224), path)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or SIZES:
        path = folder / f"{name}.onnx"
        if not path.exists():
            export(name, path)


if __name__ == "__main__":
    main()
