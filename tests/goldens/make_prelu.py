"""Layers with PReLU behind them, as PyTorch exports and computes them: tests/goldens/onnx/prelu.onnx,
prelu_constants.onnx (whose slopes are Constant nodes) and prelu.golden (torch 1.13)."""
import io
import pathlib

import onnx
import torch
from onnx import helper as h
from torch import nn

import golden

HERE = pathlib.Path(__file__).resolve().parent


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.one = nn.Conv2d(2, 5, 3, padding=1), nn.PReLU(5)
        self.second, self.two = nn.Conv2d(5, 5, 3, padding=1), nn.PReLU(5)
        self.up, self.three = nn.ConvTranspose2d(5, 3, 2, stride=2), nn.PReLU(3)
        self.fc, self.four = nn.Linear(3, 4), nn.PReLU(4)
        self.last, self.five = nn.Linear(4, 4), nn.PReLU()

    def forward(self, x):
        x = self.one(self.first(x))
        x = self.two(self.second(x) + torch.tanh(x))
        x = self.three(self.up(x)).mean((2, 3))
        return self.five(self.last(self.four(self.fc(x))))


def with_constants(model):
    """Its slopes as nodes."""
    names = {n.input[1] for n in model.graph.node if n.op_type == "PRelu"}
    for i, slope in enumerate([t for t in model.graph.initializer if t.name in names]):
        model.graph.initializer.remove(slope)
        model.graph.node.insert(i, h.make_node("Constant", [], [slope.name], value=slope))
    return model


torch.manual_seed(3)
net, x = Net().eval(), torch.randn(2, 2, 4, 4)
for name, parameter in net.named_parameters():
    if parameter.dim() == 1 and "weight" in name:
        nn.init.uniform_(parameter, -.5, 1.5)
out = io.BytesIO()
torch.onnx.export(net, x, out, opset_version=13, input_names=["x"], output_names=["y"],
                  dynamic_axes={"x": {0: "batch"}})
(HERE / "onnx" / "prelu.onnx").write_bytes(out.getvalue())
onnx.save(with_constants(onnx.load_from_string(out.getvalue())), HERE / "onnx" / "prelu_constants.onnx")
golden.write(HERE / "prelu.golden", {"x": x, "y": net(x)})
