"""Convolutions, linear layers, batch norm, pools: PyTorch's values (python3 make_windows.py).

Options are written as integers in the order of the fields of nnfuse's option structs, three
entries for each axis list.
"""
import pathlib

import torch

import golden

HERE = pathlib.Path(__file__).parent
MODES = ["zeros", "reflect", "replicate", "circular"]
torch.manual_seed(3)


def three(values, fill):
    values = list(values) if isinstance(values, (list, tuple)) else [values] * 3
    return (values + [fill] * 3)[:3]


def conv_options(layer, spatial, transposed):
    padding, auto_pad = layer.padding, 0
    if isinstance(padding, str):
        auto_pad, padding = (1 if padding == "same" else 3), [0]
    pads = three(padding, 0)
    return torch.tensor(
        [spatial, transposed, layer.in_channels, layer.out_channels, layer.groups]
        + three(layer.kernel_size, 1) + three(layer.stride, 1) + three(layer.dilation, 1)
        + pads + pads + three(layer.output_padding, 0) + [0, 0, 0]
        + [MODES.index(layer.padding_mode), auto_pad])


def put_conv(out, case, layer, x, transposed=False):
    layer.double()
    out[f"{case}.options"] = conv_options(layer, len(layer.kernel_size), transposed)
    for dtype, name in ((torch.float64, "f64"), (torch.float32, "f32")):
        out[f"{case}.{name}.x"] = x.to(dtype)
        out[f"{case}.{name}.weight"] = layer.weight.to(dtype)
        if layer.bias is not None:
            out[f"{case}.{name}.bias"] = layer.bias.to(dtype)
        exact = layer.double()(x.to(dtype).double())
        if dtype is torch.float32:  # the exact result of the rounded operands
            parameters = [p.data.clone() for p in layer.parameters()]
            for p in layer.parameters():
                p.data = p.data.float().double()
            exact = layer(x.float().double())
            for p, saved in zip(layer.parameters(), parameters):
                p.data = saved
        out[f"{case}.{name}.y"] = exact.to(dtype)


def convolutions():
    out, nn = {}, torch.nn
    rand = lambda *shape: torch.randn(*shape, dtype=torch.float64)
    put_conv(out, "1d", nn.Conv1d(3, 5, 3, padding=1), rand(2, 3, 11))
    put_conv(out, "2d", nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 0)), rand(2, 3, 9, 8))
    put_conv(out, "3d", nn.Conv3d(2, 3, 2, stride=(1, 2, 1), padding=1), rand(1, 2, 4, 5, 3))
    put_conv(out, "no_bias", nn.Conv2d(4, 5, 1, bias=False), rand(1, 4, 5, 5))
    put_conv(out, "groups", nn.Conv2d(6, 9, 3, groups=3, padding=1), rand(2, 6, 6, 6))
    put_conv(out, "depthwise", nn.Conv2d(5, 5, 3, groups=5, stride=2), rand(1, 5, 9, 9))
    put_conv(out, "multiplier", nn.Conv2d(3, 6, 3, groups=3), rand(1, 3, 5, 5))
    put_conv(out, "dilation", nn.Conv2d(2, 3, 3, dilation=(2, 3), padding=2), rand(1, 2, 9, 9))
    put_conv(out, "stride_over_kernel", nn.Conv2d(2, 3, 2, stride=3), rand(1, 2, 8, 8))
    put_conv(out, "unbatched", nn.Conv2d(2, 3, 3), rand(2, 5, 5))
    put_conv(out, "same", nn.Conv2d(2, 3, (2, 3), padding="same", dilation=2), rand(1, 2, 6, 6))
    put_conv(out, "valid", nn.Conv1d(2, 3, 3, padding="valid"), rand(1, 2, 6))
    put_conv(out, "deep", nn.Conv2d(70, 18, 3, padding=1), rand(1, 70, 6, 7))
    put_conv(out, "empty_batch", nn.Conv2d(2, 3, 3), rand(0, 2, 5, 5))
    for mode in MODES[1:]:
        put_conv(out, mode, nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode=mode),
                 rand(2, 2, 5, 4))
        put_conv(out, f"{mode}_1d", nn.Conv1d(2, 2, 4, padding=3, stride=2, padding_mode=mode),
                 rand(1, 2, 7))
    golden.write(HERE / "conv.golden", out)

    out = {}
    put_conv(out, "1d", nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1), rand(2, 3, 6), True)
    put_conv(out, "2d", nn.ConvTranspose2d(3, 4, (3, 2), stride=(2, 3)), rand(2, 3, 4, 5), True)
    put_conv(out, "3d", nn.ConvTranspose3d(2, 3, 2, stride=2), rand(1, 2, 3, 2, 3), True)
    put_conv(out, "groups", nn.ConvTranspose2d(4, 6, 3, groups=2, padding=1), rand(1, 4, 5, 5),
             True)
    put_conv(out, "output_padding",
             nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
             rand(1, 2, 4, 4), True)
    put_conv(out, "dilation", nn.ConvTranspose2d(2, 3, 3, stride=2, dilation=3), rand(1, 2, 3, 4),
             True)
    put_conv(out, "depthwise", nn.ConvTranspose2d(4, 4, 4, groups=4, stride=2, padding=1,
                                                  bias=False), rand(2, 4, 3, 3), True)
    put_conv(out, "unbatched", nn.ConvTranspose1d(2, 3, 3), rand(2, 5), True)
    golden.write(HERE / "conv_transpose.golden", out)


def linears():
    out = {}
    for name, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        for case, shape in (("rank1", (7,)), ("rank2", (3, 7)), ("rank4", (2, 3, 2, 7)),
                            ("empty", (0, 7)), ("long", (2, 300))):
            w, b = torch.randn(5, shape[-1]).to(dtype), torch.randn(5).to(dtype)
            x = torch.randn(shape).to(dtype)
            y = torch.nn.functional.linear(x.double(), w.double(), b.double()).to(dtype)
            out |= {f"{case}.{name}.x": x, f"{case}.{name}.weight": w, f"{case}.{name}.bias": b,
                    f"{case}.{name}.y": y}
    shapes = {"2x2": ((3, 4), (4, 5)), "1x1": ((4,), (4,)), "1x2": ((4,), (4, 5)),
              "2x1": ((3, 4), (4,)), "3x2": ((2, 3, 4), (4, 5)), "3x3": ((2, 3, 4), (2, 4, 5)),
              "cross": ((2, 1, 3, 4), (1, 3, 4, 2)), "2x3": ((3, 4), (2, 4, 5)),
              "1x3": ((4,), (2, 4, 5)), "3x1": ((2, 3, 4), (4,)), "empty": ((0, 4), (4, 5)),
              "no_sum": ((3, 0), (0, 5)), "inner": ((3, 2, 2, 4), (2, 4, 3))}
    for case, (a, b) in shapes.items():
        a, b = torch.randn(a), torch.randn(b)
        out |= {f"matmul.{case}.in0": a, f"matmul.{case}.in1": b,
                f"matmul.{case}.out0": (a.double() @ b.double()).float()}
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    for case, c in (("none", None), ("row", torch.randn(5)), ("rows", torch.randn(1, 5)),
                    ("column", torch.randn(3, 1)), ("full", torch.randn(3, 5)),
                    ("scalar", torch.randn(()))):
        for ta in (0, 1):
            for tb in (0, 1):
                for alpha, beta in ((1.0, 1.0), (0.5, 2.0)):
                    key = f"gemm.{case}.{ta}{tb}.{int(alpha == 1.0)}"
                    y = alpha * (a.double() @ b.double())
                    out[f"{key}.in0"] = a.t() if ta else a
                    out[f"{key}.in1"] = b.t() if tb else b
                    if c is not None:
                        y = y + beta * c.double()
                        out[f"{key}.in2"] = c
                    out[f"{key}.out0"] = y.float()
    golden.write(HERE / "linear.golden", out)


def put_norm(out, case, layer, x, steps, training):
    layer.train(training)
    if layer.affine:
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    if layer.running_mean is not None:
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.2, 2.0)
    out[f"{case}.momentum"] = torch.tensor(
        -1.0 if layer.momentum is None else layer.momentum, dtype=torch.float64)
    for name, tensor in layer.state_dict().items():
        out[f"{case}.{name}"] = tensor.clone()
    out[f"{case}.x"] = x
    for _ in range(steps):
        y = layer(x)
    out[f"{case}.y"] = y
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        if name in layer.state_dict():
            out[f"{case}.after.{name}"] = layer.state_dict()[name].clone()


def norms():
    out, nn = {}, torch.nn
    layers = {"1d": (nn.BatchNorm1d, (6, 3)), "1d_length": (nn.BatchNorm1d, (2, 3, 5)),
              "2d": (nn.BatchNorm2d, (2, 3, 4, 5)), "3d": (nn.BatchNorm3d, (2, 3, 2, 3, 2))}
    for case, (new, shape) in layers.items():
        x = torch.randn(shape) * 2 + 1
        put_norm(out, f"{case}.eval", new(3), x, 1, False)
        put_norm(out, f"{case}.train", new(3), x, 2, True)
        put_norm(out, f"{case}.cumulative", new(3, momentum=None), x, 3, True)
        put_norm(out, f"{case}.no_affine", new(3, affine=False), x, 1, False)
        put_norm(out, f"{case}.no_track", new(3, track_running_stats=False), x, 1, False)
        put_norm(out, f"{case}.f64", new(3, momentum=0.3).double(), x.double(), 1, True)
    golden.write(HERE / "batchnorm.golden", out)


def put_pool(out, case, layer, x, average):
    spatial = x.dim() - 2
    lists = [layer.kernel_size, layer.stride, getattr(layer, "dilation", 1)]
    numbers = [spatial, average]
    for values in lists:
        numbers += three(values, 1)
    numbers += three(layer.padding, 0) * 2
    numbers += [0, layer.ceil_mode, getattr(layer, "count_include_pad", False), 1, 0]
    out[f"{case}.options"] = torch.tensor([int(n) for n in numbers])
    out[f"{case}.x"] = x
    if average:
        out[f"{case}.y"] = layer(x)
        return
    layer.return_indices = True
    out[f"{case}.y"], places = layer(x)
    planes = torch.arange(x.shape[0] * x.shape[1]).view(*x.shape[:2], *[1] * spatial)
    out[f"{case}.indices"] = places + planes * x[0, 0].numel()  # ONNX counts over the whole tensor


def pools():
    out, nn = {}, torch.nn
    xs = {1: torch.randn(2, 3, 11), 2: torch.randn(2, 2, 7, 8), 3: torch.randn(1, 2, 5, 6, 4)}
    maxes = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
    means = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
    for n, x in xs.items():
        for ceil in (False, True):
            put_pool(out, f"max{n}.plain{ceil:d}", maxes[n](3, 2, ceil_mode=ceil), x, False)
            put_pool(out, f"max{n}.padded{ceil:d}", maxes[n](2, 3, 1, ceil_mode=ceil), x, False)
            put_pool(out, f"max{n}.dilated{ceil:d}",
                     maxes[n](2, 2, 1, dilation=3, ceil_mode=ceil), x, False)
            for count in (False, True):
                put_pool(out, f"mean{n}.plain{ceil:d}{count:d}",
                         means[n](3, 2, 1, ceil, count), x, True)
                put_pool(out, f"mean{n}.wide{ceil:d}{count:d}",
                         means[n](2, 3, 1, ceil, count), x, True)
    odd = torch.randn(1, 1, 4, 4)
    odd[0, 0, 1, 2], odd[0, 0, 3, 0] = float("nan"), float("-inf")
    put_pool(out, "max2.nan", nn.MaxPool2d(2, 1), odd, False)
    adaptive = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
    sizes = {1: [4], 2: [3, 4], 3: [1, 4, 3]}
    for n, x in xs.items():
        for case, size in (("uneven", sizes[n]), ("one", [1] * n), ("larger", [9] * n),
                           ("kept", [None] * n)):
            layer = adaptive[n](size if n > 1 or size[0] is not None else x.shape[-1])
            out[f"adaptive{n}.{case}.size"] = torch.tensor([-1 if s is None else s for s in size])
            out[f"adaptive{n}.{case}.x"], out[f"adaptive{n}.{case}.y"] = x, layer(x)
        axes = list(range(2, x.dim()))
        out[f"global{n}.x"] = x
        out[f"global{n}.mean"] = x.mean(axes, keepdim=True)
        out[f"global{n}.max"] = x.amax(axes, keepdim=True)
    golden.write(HERE / "pool.golden", out)


with torch.no_grad():
    convolutions()
    linears()
    norms()
    pools()
