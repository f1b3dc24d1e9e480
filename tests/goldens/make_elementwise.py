"""Activations, softmax, arithmetic, means: PyTorch's values (python3 make_elementwise.py)."""
import pathlib

import torch

import golden

HERE = pathlib.Path(__file__).parent
F = torch.nn.functional
torch.manual_seed(5)


def put(out, case, inputs, *outputs):
    for i, tensor in enumerate(inputs):
        out[f"{case}.in{i}"] = tensor
    for i, tensor in enumerate(outputs):
        out[f"{case}.out{i}"] = tensor


def activations():
    ends = [0.0, -0.0, 1e-30, -1e-30, 3.0, -3.0, 6.0, 10.0, -10.0]
    x = torch.cat([torch.tensor(ends), torch.linspace(-8, 8, 99), torch.randn(88)])
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0, 90.0, -90.0, 1e4, -1e4])
    functions = {
        "ReLU": F.relu, "ReLU6": F.relu6, "Clip": lambda v: torch.clamp(v, -1.5, 2.25),
        "LeakyReLU": F.leaky_relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "SiLU": F.silu,
        "Hardswish": F.hardswish, "Hardsigmoid": F.hardsigmoid, "GELU": F.gelu,
        "GELU_TANH": lambda v: F.gelu(v, approximate="tanh"),
        "Sqrt": lambda v: torch.sqrt(v.abs()), "Erf": torch.erf,
    }
    out = {}
    for name, function in functions.items():
        given = [x, x.double(), odd]
        if name == "Sqrt":
            given = [v.abs() for v in given]
        for suffix, value in zip(("f32", "f64", "odd"), given):
            put(out, f"{name}.{suffix}", [value], function(value))
        for suffix, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
            value = given[0].to(dtype)  # computed in float32 and rounded once
            put(out, f"{name}.{suffix}", [value], function(value.float()).to(dtype))
    golden.write(HERE / "activation.golden", out)


def softmaxes():
    out = {}
    x = torch.randn(3, 5, 4) * 10
    for axis in (0, 1, 2, -1):
        put(out, f"axis{axis}", [x], torch.softmax(x, axis))
        put(out, f"axis{axis}.f64", [x.double()], torch.softmax(x.double(), axis))
    # ONNX before opset 13: softmax over the matrix [axes before, axes from axis on]
    put(out, "flatten1", [x], torch.softmax(x.flatten(1), 1).view(3, 5, 4))
    put(out, "flatten0", [x], torch.softmax(x.flatten(), 0).view(3, 5, 4))
    put(out, "flatten-1", [x], torch.softmax(x, 2))
    large = torch.tensor([[1e30, 1.0, 1e30], [-1e30, -1e30, -1e30]])
    put(out, "large", [large], torch.softmax(large, 1))
    half = (torch.randn(4, 9) * 3).half()
    put(out, "f16", [half], torch.softmax(half.float(), 1).half())
    golden.write(HERE / "softmax.golden", out)


def arithmetic():
    out = {}
    kinds = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Pow": torch.pow,
             "Div": torch.div}
    shapes = {
        "same": ((2, 3, 4), (2, 3, 4)), "scalar": ((2, 3, 4), ()), "scalar_first": ((), (5, 3)),
        "row": ((2, 3, 4), (4,)), "channel": ((2, 3, 4, 5), (3, 1, 1)), "both": ((3, 1, 4), (2, 1)),
        "inner_one": ((2, 3, 1), (1, 3, 5)), "empty": ((0, 3), (1, 3)), "long": ((3, 1500), (1500,)),
    }
    for name, function in kinds.items():
        for case, (left, right) in shapes.items():
            if case == "long" and name != "Add":
                continue
            a, b = torch.randn(left), torch.randn(right)
            if name == "Pow":
                a = a.abs()
            put(out, f"{name}.{case}", [a, b], function(a, b))
        a, b = torch.rand(2, 3) + 0.5, torch.rand(3) + 0.5
        put(out, f"{name}.f64", [a.double(), b.double()], function(a.double(), b.double()))
        put(out, f"{name}.f16", [a.half(), b.half()], function(a.half().float(), b.half().float()).half())
        for suffix, dtype in (("i32", torch.int32), ("i64", torch.int64), ("i8", torch.int8),
                              ("u8", torch.uint8)):
            low = 0 if suffix == "u8" else -7
            a, b = torch.randint(low, 9, (4, 6)).to(dtype), torch.randint(1, 4, (6,)).to(dtype)
            result = torch.div(a, b, rounding_mode="trunc") if name == "Div" else function(a, b)
            put(out, f"{name}.{suffix}", [a, b], result)
    golden.write(HERE / "elementwise.golden", out)


def means():
    out = {}
    x = torch.randn(2, 3, 4, 5) + 1
    for axes in ((0,), (1,), (3,), (2, 3), (1, 2), (0, 2), (1, 3), (0, 1, 2, 3), (-1, 1)):
        case = "_".join(map(str, axes))
        put(out, case, [x], x.mean(axes))
        put(out, f"{case}.keep", [x], x.mean(axes, keepdim=True))
    wide = torch.randn(3, 2, 600)
    put(out, "wide", [wide], wide.mean(1))
    put(out, "f64", [x.double()], x.double().mean((1,)))
    put(out, "f16", [x.half()], x.half().float().mean((2, 3)).half())
    golden.write(HERE / "reduce.golden", out)


activations()
softmaxes()
arithmetic()
means()
