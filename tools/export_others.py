#!/usr/bin/python3
"""Write torchvision's segmentation and video networks and vision transformers as ONNX files, in small
sizes and with random weights, for `nnfuse run` to compute.

Needs Debian's python3-torch, python3-torchvision and python3-onnx. Files that are there already are
left alone.

    /usr/bin/python3 tools/export_others.py OUTDIR [NAME ...]
"""
import os
import pathlib
import sys
import warnings

import torch
from torchvision import models
from torchvision.models import segmentation, video

from export_models import fill_zeros

IMAGE, CLIP = (1, 3, 64, 64), (1, 3, 4, 32, 32)
NETWORKS = {  # where each is made, and what it takes
    "deeplabv3_mobilenet_v3_large": (segmentation, IMAGE),
    "fcn_resnet50": (segmentation, IMAGE),
    "lraspp_mobilenet_v3_large": (segmentation, IMAGE),
    "mc3_18": (video, CLIP),
    "r2plus1d_18": (video, CLIP),
    "r3d_18": (video, CLIP),
    "swin_t": (models, IMAGE),
    "vit_b_16": (models, (1, 3, 224, 224)),
}


def export(name, path):
    torch.manual_seed(0)
    family, shape = NETWORKS[name]
    options = {"weights_backbone": None} if family is segmentation else {}
    model = getattr(family, name)(weights=None, **options).eval()
    fill_zeros(model)
    part = path.with_suffix(".part")
    torch.onnx.export(model, torch.randn(shape), str(part), opset_version=16,
                      do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE)
    os.replace(part, path)  # so that an interrupted export isn't taken for a whole one
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr, flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        path = folder / f"{name}.onnx"
        if not path.exists():
            export(name, path)


if __name__ == "__main__":
    main()
