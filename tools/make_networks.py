#!/usr/bin/python3
"""Write networks of the kinds that there is something to fuse in, as ONNX files in the form that
they are trained in.

Each is written down after its paper, as small as that form allows. Needs Debian's python3-torch and
python3-onnx. Weights come from a fixed seed; each network sees a few random images in training mode
first, so that its running statistics are those of real activations. Files that are there already
are left alone.

    /usr/bin/python3 tools/make_networks.py OUTDIR [NAME ...]
"""
import pathlib
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional as F

from export_models import write


def conv_bn(inputs, outputs, kernel=1, stride=1, groups=1, padding=None, eps=1e-5):
    if padding is None:
        padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps))


class Then(nn.Sequential):
    """Its parts one after the other, and the sum of several ways where a part is a list of them."""

    def forward(self, x):
        for part in self:
            x = sum(way(x) for way in part) if isinstance(part, nn.ModuleList) else part(x)
        return x


def classifier(features, classes=1000):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes)]


# ---- RepVGG-A0 (Ding et al., 2021), MobileOne-S0 (Vasu et al., 2022), ACNet (Ding et al., 2019) ----


def repvgg_block(inputs, outputs, stride):
    ways = [conv_bn(inputs, outputs, 3, stride), conv_bn(inputs, outputs, 1, stride)]
    if inputs == outputs and stride == 1:
        ways.append(nn.BatchNorm2d(inputs))
    return [nn.ModuleList(ways), nn.ReLU()]


def repvgg_a0():
    layers, inputs = [], 3
    for blocks, outputs in ((1, 48), (2, 48), (4, 96), (14, 192), (1, 1280)):
        for block in range(blocks):
            layers += repvgg_block(inputs, outputs, 2 if block == 0 else 1)
            inputs = outputs
    return Then(*layers, *classifier(1280))


def mobileone_block(inputs, outputs, kernel, stride, groups, branches):
    ways = [conv_bn(inputs, outputs, kernel, stride, groups) for _ in range(branches)]
    if kernel > 1:
        ways.append(conv_bn(inputs, outputs, 1, stride, groups))
    if inputs == outputs and stride == 1:
        ways.append(nn.BatchNorm2d(inputs))
    return [nn.ModuleList(ways), nn.ReLU()]


def mobileone_s0():
    layers, inputs = mobileone_block(3, 48, 3, 2, 1, 1), 48
    for blocks, outputs in ((2, 48), (8, 128), (10, 256), (1, 1024)):
        for block in range(blocks):
            layers += mobileone_block(inputs, inputs, 3, 2 if block == 0 else 1, inputs, 4)
            layers += mobileone_block(inputs, outputs, 1, 1, 1, 4)
            inputs = outputs
    return Then(*layers, *classifier(1024))


def ac_block(inputs, outputs, stride):
    return nn.ModuleList([conv_bn(inputs, outputs, 3, stride),
                          conv_bn(inputs, outputs, (1, 3), stride, padding=(0, 1)),
                          conv_bn(inputs, outputs, (3, 1), stride, padding=(1, 0))])


class Residual(nn.Module):
    def __init__(self, body, shortcut, after):
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut, after

    def forward(self, x):
        return self.after(self.body(x) + self.shortcut(x))


def acnet_18():
    layers = [*conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs in (64, 128, 256, 512):
        for stride in (1 if outputs == 64 else 2, 1):
            body = Then(ac_block(inputs, outputs, stride), nn.ReLU(), ac_block(outputs, outputs, 1))
            same = inputs == outputs and stride == 1
            shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)
            layers.append(Residual(body, shortcut, nn.ReLU()))
            inputs = outputs
    return Then(*layers, *classifier(512))


# ---- Pre-activation ResNet-50 (He et al., 2016), DenseNet-121 (Huang et al., 2017) ----


class PreActivation(nn.Module):
    def __init__(self, inputs, width, outputs, stride):
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False))
        self.shortcut = None
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = self.before(x)
        return self.body(y) + (self.shortcut(y) if self.shortcut else x)


def preact_resnet50():
    layers, inputs = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1)], 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            stride = 2 if block == 0 and width > 64 else 1
            layers.append(PreActivation(inputs, width, 4 * width, stride))
            inputs = 4 * width
    return Then(*layers, nn.BatchNorm2d(inputs), nn.ReLU(), *classifier(inputs))


class DenseLayer(nn.Sequential):
    def __init__(self, inputs, growth):
        super().__init__(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([x, super().forward(x)], 1)


def densenet_121(growth=32):
    channels = 2 * growth
    layers = [*conv_bn(3, channels, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for blocks in (6, 12, 24, 16):
        for _ in range(blocks):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        if blocks != 16:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(),
                       nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return Then(*layers, nn.BatchNorm2d(channels), nn.ReLU(), *classifier(channels))


# ---- MobileNetV3-Large (Howard et al., 2019), EfficientNet-B0 (Tan and Le, 2019) ----


class HardSigmoid(nn.Module):
    def forward(self, x):
        return F.relu6(x + 3) / 6


class HardSwish(nn.Module):
    def forward(self, x):
        return x * F.relu6(x + 3) / 6


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed, activation, gate):
        super().__init__()
        self.gates = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1),
                                   activation, nn.Conv2d(squeezed, channels, 1), gate)

    def forward(self, x):
        return x * self.gates(x)


class Inverted(nn.Sequential):
    """Expands, filters each channel, squeezes and excites, projects; with its input added."""

    def __init__(self, inputs, hidden, outputs, kernel, stride, activation, excite):
        layers = [] if hidden == inputs else [conv_bn(inputs, hidden), activation]
        layers += [conv_bn(hidden, hidden, kernel, stride, hidden), *excite]
        super().__init__(*layers, conv_bn(hidden, outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + super().forward(x) if self.adds else super().forward(x)


def mobilenet_v3_large():
    rows = ((3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2),
            (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2),
            (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
            (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2),
            (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1))
    layers, inputs = [conv_bn(3, 16, 3, 2), HardSwish()], 16
    for kernel, hidden, outputs, excites, hard, stride in rows:
        activation = HardSwish() if hard else nn.ReLU()
        excite = [SqueezeExcite(hidden, hidden // 4, nn.ReLU(), HardSigmoid())] if excites else []
        layers.append(Inverted(inputs, hidden, outputs, kernel, stride, activation,
                               excite + [activation]))
        inputs = outputs
    return nn.Sequential(*layers, conv_bn(160, 960), HardSwish(), nn.AdaptiveAvgPool2d(1),
                         nn.Conv2d(960, 1280, 1), HardSwish(), nn.Flatten(), nn.Linear(1280, 1000))


def efficientnet_b0():
    rows = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
            (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))
    layers, inputs = [conv_bn(3, 32, 3, 2, eps=1e-3), Swish()], 32
    for expansion, outputs, blocks, stride, kernel in rows:
        for block in range(blocks):
            hidden = inputs * expansion
            excite = [Swish(), SqueezeExcite(hidden, inputs // 4, Swish(), nn.Sigmoid())]
            layers.append(Inverted(inputs, hidden, outputs, kernel, stride if block == 0 else 1,
                                   Swish(), excite))
            inputs = outputs
    return nn.Sequential(*layers, conv_bn(320, 1280, eps=1e-3), Swish(), *classifier(1280))


# ---- YOLOv5s (Jocher et al., 2020), YOLOX-s (Ge et al., 2021): backbone, neck and head ----


def conv_silu(inputs, outputs, kernel=1, stride=1):
    return nn.Sequential(*conv_bn(inputs, outputs, kernel, stride, eps=1e-3), nn.SiLU())


class Bottleneck(nn.Sequential):
    def __init__(self, channels, adds):
        super().__init__(conv_silu(channels, channels), conv_silu(channels, channels, 3))
        self.adds = adds

    def forward(self, x):
        return x + super().forward(x) if self.adds else super().forward(x)


class CrossStage(nn.Module):
    def __init__(self, inputs, outputs, blocks, adds=True):
        super().__init__()
        half = outputs // 2
        self.ways = nn.ModuleList([
            nn.Sequential(conv_silu(inputs, half), *(Bottleneck(half, adds) for _ in range(blocks))),
            conv_silu(inputs, half)])
        self.joined = conv_silu(outputs, outputs)

    def forward(self, x):
        return self.joined(torch.cat([way(x) for way in self.ways], 1))


class PyramidPooling(nn.Module):
    """In a row with one size (YOLOv5's SPPF), or side by side with several (YOLOX's)."""

    def __init__(self, channels, sizes):
        super().__init__()
        self.first = conv_silu(channels, channels // 2)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in sizes)
        self.in_a_row = len(set(sizes)) == 1
        self.last = conv_silu(channels // 2 * (len(sizes) + 1), channels)

    def forward(self, x):
        found = [self.first(x)]
        for pool in self.pools:
            found.append(pool(found[-1] if self.in_a_row else found[0]))
        return self.last(torch.cat(found, 1))


class Focus(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.conv = conv_silu(12, outputs, 3)

    def forward(self, x):
        return self.conv(torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2],
                                    x[..., 1::2, 1::2]], 1))


class Pyramid(nn.Module):
    """A path aggregation network over three levels of a backbone, and a head on each."""

    def __init__(self, stem, pooling, head):
        super().__init__()
        self.stages = nn.ModuleList([
            nn.Sequential(stem, conv_silu(32, 64, 3, 2), CrossStage(64, 64, 1),
                          conv_silu(64, 128, 3, 2), CrossStage(128, 128, 2 if pooling[1:] else 3)),
            nn.Sequential(conv_silu(128, 256, 3, 2), CrossStage(256, 256, 3)),
            nn.Sequential(conv_silu(256, 512, 3, 2), PyramidPooling(512, pooling),
                          CrossStage(512, 512, 1, False))])
        self.narrow = nn.ModuleList([conv_silu(512, 256), conv_silu(256, 128)])
        self.up = nn.ModuleList([CrossStage(512, 256, 1, False), CrossStage(256, 128, 1, False)])
        self.shrink = nn.ModuleList([conv_silu(128, 128, 3, 2), conv_silu(256, 256, 3, 2)])
        self.down = nn.ModuleList([CrossStage(256, 256, 1, False), CrossStage(512, 512, 1, False)])
        self.heads = nn.ModuleList(head(channels) for channels in (128, 256, 512))

    def forward(self, x):
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        kept = []
        for narrow, up, level in zip(self.narrow, self.up, levels[1::-1]):
            kept.append(narrow(x))
            x = up(torch.cat([F.interpolate(kept[-1], scale_factor=2.0), level], 1))
        found = [x]
        for shrink, down, before in zip(self.shrink, self.down, kept[::-1]):
            found.append(down(torch.cat([shrink(found[-1]), before], 1)))
        return tuple(head(level) for head, level in zip(self.heads, found))


class Decoupled(nn.Module):
    def __init__(self, channels, width=128, classes=80):
        super().__init__()
        self.stem = conv_silu(channels, width)
        self.ways = nn.ModuleList(
            nn.Sequential(conv_silu(width, width, 3), conv_silu(width, width, 3)) for _ in range(2))
        self.kind = nn.Conv2d(width, classes, 1)
        self.box, self.there = nn.Conv2d(width, 4, 1), nn.Conv2d(width, 1, 1)

    def forward(self, x):
        kinds, places = (way(self.stem(x)) for way in self.ways)
        return torch.cat([self.box(places), self.there(places).sigmoid(),
                          self.kind(kinds).sigmoid()], 1)


def yolov5s():
    stem = nn.Sequential(*conv_bn(3, 32, 6, 2, padding=2, eps=1e-3), nn.SiLU())
    return Pyramid(stem, (5, 5, 5), lambda channels: nn.Conv2d(channels, 255, 1))


def yolox_s():
    return Pyramid(Focus(32), (5, 9, 13), Decoupled)


# ---- ConvNeXt-T (Liu et al., 2022), ViT-Ti/16 (Dosovitskiy et al., 2021) ----


class ChannelsLast(nn.Sequential):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.filter = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.layers = nn.Sequential(nn.LayerNorm(channels, eps=1e-6),
                                    nn.Linear(channels, 4 * channels), nn.GELU(),
                                    nn.Linear(4 * channels, channels))
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x):
        y = self.layers(self.filter(x).permute(0, 2, 3, 1)) * self.scale
        return x + y.permute(0, 3, 1, 2)


def convnext_t():
    layers, inputs = [nn.Conv2d(3, 96, 4, 4), ChannelsLast(nn.LayerNorm(96, eps=1e-6))], 96
    for blocks, channels in ((3, 96), (3, 192), (9, 384), (3, 768)):
        if channels != inputs:
            layers += [ChannelsLast(nn.LayerNorm(inputs, eps=1e-6)),
                       nn.Conv2d(inputs, channels, 2, 2)]
        layers += [ConvNeXtBlock(channels) for _ in range(blocks)]
        inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.LayerNorm(768, eps=1e-6), nn.Linear(768, 1000))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        split = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width, eps=1e-6), Attention(width, heads))
        self.think = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width),
                                   nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attend(x)
        return x + self.think(x)


class VisionTransformer(nn.Module):
    def __init__(self, width=192, heads=3, depth=12, size=224):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (size // 16) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Encoder(width, heads) for _ in range(depth)))
        self.head = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 1000))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.blocks(x)[:, 0])


# ---- Writing them ----

NETWORKS = {  # and the side of the square image that each takes
    "repvgg_a0": (repvgg_a0, 224), "mobileone_s0": (mobileone_s0, 224),
    "acnet_18": (acnet_18, 224), "preact_resnet50": (preact_resnet50, 224),
    "densenet_121": (densenet_121, 224), "mobilenet_v3_large": (mobilenet_v3_large, 224),
    "efficientnet_b0_swish": (efficientnet_b0, 224), "yolov5s": (yolov5s, 320),
    "yolox_s": (yolox_s, 320), "convnext_t": (convnext_t, 224),
    "vit_ti16": (VisionTransformer, 224)}


def as_after_training(model):
    """No weight or bias is one of those that layers begin with, which would compute nothing."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        make, size = NETWORKS[name]
        path = folder / f"{name}.onnx"
        if not path.exists():
            torch.manual_seed(0)
            write(as_after_training(make()), size, path, batch=None)


if __name__ == "__main__":
    main()
