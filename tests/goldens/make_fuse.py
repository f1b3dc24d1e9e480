"""Makes fuse.golden: what PyTorch's fuse_modules gives for every row of its default table.

Run with a Python that has PyTorch 1.13. For each case: options and tensors of the modules, an
input, the output before fusing and after it, the folded weight and bias, and, in
quantization-aware training, the output and the running statistics after a step of training.
"""
import copy
import pathlib

import torch
from torch import nn
from torch.ao.quantization import fuse_modules, fuse_modules_qat

import golden

torch.manual_seed(0)
ARRAYS = {}
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def put(case, name, value):
    ARRAYS[f"{case}/{name}"] = value


def norm(spatial, features, momentum=0.1, affine=True):
    module = NORMS[spatial](features, eps=1e-3, momentum=momentum, affine=affine)
    module.running_mean.normal_()
    module.running_var.uniform_(0.3, 2.0)
    if affine:
        nn.init.normal_(module.weight)
        nn.init.normal_(module.bias)
    return module


def put_module(case, index, module):
    for name, tensor in list(module.named_parameters()) + list(module.named_buffers()):
        put(case, f"{index}.{name}", tensor.clone())
    if hasattr(module, "kernel_size"):
        put(case, f"{index}.options", torch.tensor([
            len(module.kernel_size), module.transposed, module.in_channels, module.out_channels,
            module.groups, module.kernel_size[0], module.stride[0], module.padding[0],
            module.dilation[0], module.output_padding[0]], dtype=torch.int64))
    if hasattr(module, "running_mean"):
        momentum = module.momentum
        put(case, f"{index}.options", torch.tensor(
            [module.eps, -1.0 if momentum is None else momentum], dtype=torch.float64))


def add_case(case, x, modules, fuses=True, qat=True):
    """One sequence of modules, in eval and in quantization-aware training."""
    chain = [str(i) for i in range(len(modules))]
    model = nn.Sequential(*modules)
    for index, module in enumerate(modules):
        put_module(case, index, module)
    put(case, "x", x)
    with torch.no_grad():
        evaluated = copy.deepcopy(model).eval()
        put(case, "y", evaluated(x))
        if fuses:
            fused = fuse_modules(evaluated, chain)
            put(case, "y_fused", fused(x))
            base = fused[0][0] if isinstance(fused[0], nn.Sequential) else fused[0]
            if hasattr(base, "weight") and not hasattr(base, "running_mean"):
                put(case, "weight", base.weight)
                put(case, "bias", base.bias)
        # A step of training, of the fused module where PyTorch has one.
        trained = copy.deepcopy(model).train()
        if fuses and qat:
            trained = fuse_modules_qat(trained, chain)
        put(case, "y_train", trained(x))
        for name, buffer in trained.named_buffers():
            put(case, "train." + name.rsplit(".", 1)[-1], buffer)
        put(case, "y_trained", trained.eval()(x))


for d in (1, 2, 3):
    shape = {1: (5,), 2: (3, 4), 3: (2, 3, 2)}[d]
    conv = lambda bias: CONVS[d](4, 6, 3, padding=1, groups=2, bias=bias)
    transposed = lambda: TRANSPOSED[d](4, 6, 3, stride=2, padding=1, output_padding=1)
    x4, x6 = torch.randn(2, 4, *shape), torch.randn(2, 6, *shape)
    momentum = {1: 0.1, 2: None, 3: 0.3}[d]
    add_case(f"conv{d}d_bn", x4, [conv(True), norm(d, 6)])
    add_case(f"conv{d}d_bn_cumulative", x4, [conv(False), norm(d, 6, None)])
    add_case(f"conv{d}d_bn_relu", x4, [conv(False), norm(d, 6, momentum), nn.ReLU()])
    add_case(f"conv{d}d_relu", x4, [conv(True), nn.ReLU()])
    add_case(f"convtranspose{d}d_bn", x4, [transposed(), norm(d, 6)], qat=False)
    # PyTorch has no method for these: only the output before fusing is expected.
    add_case(f"convtranspose{d}d_bn_relu", x4, [transposed(), norm(d, 6), nn.ReLU()], fuses=False)
    add_case(f"convtranspose{d}d_relu", x4, [transposed(), nn.ReLU()], fuses=False)
    add_case(f"bn{d}d_relu", x6, [norm(d, 6), nn.ReLU()], fuses=d > 1)
    grouped = TRANSPOSED[d](4, 6, 3, groups=2)
    add_case(f"convtranspose{d}d_groups_bn", x4, [grouped, norm(d, 6)], fuses=False)
    add_case(f"conv{d}d_bn_not_affine", x4, [conv(True), norm(d, 6, affine=False)], qat=False)

x = torch.randn(5, 4)
add_case("linear_bn", x, [nn.Linear(4, 6), norm(1, 6)])
add_case("linear_bn_cumulative", x, [nn.Linear(4, 6, bias=False), norm(1, 6, None)])
add_case("linear_bn_relu", x, [nn.Linear(4, 6), norm(1, 6), nn.ReLU()], fuses=False)
add_case("linear_relu", x, [nn.Linear(4, 6), nn.ReLU()])
add_case("linear_bn_not_affine", x, [nn.Linear(4, 6), norm(1, 6, affine=False)], fuses=False)

golden.write(pathlib.Path(__file__).parent / "fuse.golden", ARRAYS)
