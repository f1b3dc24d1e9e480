#!/usr/bin/python3
"""Train the small network in models/ and export it, its test images and their labels.

Needs Debian's python3-torch, python3-sklearn and python3-onnx. Takes under a minute on one core.

    /usr/bin/python3 tools/train_digits.py [OUTDIR]
"""
import pathlib
import sys
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

EPOCHS = 40
BATCH = 64
TEST_IMAGES = 450


class Residual(nn.Module):
    """conv+bn+relu, conv+bn, an addition, relu."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(x + y)


class Digits(nn.Module):
    """A little of everything that fuses: [N, 1, 8, 8] in, ten scores out."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.block = Residual(16)
        self.down = nn.Sequential(  # depthwise, then pointwise
            nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
            nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 2, stride=2, bias=False), nn.BatchNorm2d(16))
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(nn.Linear(256, 64), nn.BatchNorm1d(64), nn.ReLU())
        self.scores = nn.Linear(64, 10)

    def forward(self, x):
        x = self.block(self.stem(x))
        x = self.relu(x + self.up(self.down(x)))
        return self.scores(self.hidden(self.flatten(self.pool(x))))


def shifted(images):
    """Each image moved by at most one pixel: all the augmentation that digits this small bear."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    dx, dy = torch.randint(0, 3, (2,))
    return padded[:, :, dy:dy + 8, dx:dx + 8]


def train(model, images, labels):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for i in range(len(images) // BATCH):
            chosen = order[i * BATCH:(i + 1) * BATCH]
            loss = nn.functional.cross_entropy(model(shifted(images[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "models"
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(digits.target)
    # Not shuffled: images that stand together come from the same hand, and a shuffled split would
    # put it into both parts.
    test_images, test_labels = images[-TEST_IMAGES:], labels[-TEST_IMAGES:]

    model = Digits()
    train(model, images[:-TEST_IMAGES], labels[:-TEST_IMAGES])
    with torch.no_grad():
        right = (model(test_images).argmax(1) == test_labels).sum().item()
    print(f"{right} of {TEST_IMAGES} test images right ({100 * right / TEST_IMAGES:.2f}%)")
    if right < 0.97 * TEST_IMAGES:
        sys.exit("less than 97%: nothing written")

    warnings.filterwarnings("ignore")
    torch.onnx.export(
        model, images[:1], str(out / "digits.onnx"), opset_version=14,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        input_names=["image"], output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
    np.save(out / "digits-test-images.npy", test_images.numpy())
    np.save(out / "digits-test-labels.npy", test_labels.numpy())


if __name__ == "__main__":
    main()
