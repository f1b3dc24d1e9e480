"""weight_norm and spectral_norm as PyTorch computes them: tests/goldens/parametrization.golden."""
import pathlib

import torch

import golden

torch.manual_seed(0)
arrays = {}


def conv(name, make):
    layer = make()
    arrays[f"{name}.weight"] = layer.weight.clone()
    return layer


for name, make, dims in [
    ("conv", lambda: torch.nn.Conv2d(3, 5, (2, 3)), (0, 1, 3, None)),
    ("transposed", lambda: torch.nn.ConvTranspose1d(4, 3, 2), (0, 1)),
    ("linear", lambda: torch.nn.Linear(6, 4), (0, 1, None)),
]:
    for dim in dims:
        key = f"weight_norm.{name}.{-1 if dim is None else dim}"
        layer = torch.nn.utils.weight_norm(conv(key, make), dim=dim)
        arrays[f"{key}.g"] = layer.weight_g.clone()
        with torch.no_grad():  # the value that was split up gives g again; another g shows more
            layer.weight_g *= 1.5
            layer.weight_g += 0.25
        layer(torch.zeros({"conv": (1, 3, 4, 4), "transposed": (1, 4, 4), "linear": (1, 6)}[name]))
        arrays[f"{key}.new_g"] = layer.weight_g
        arrays[f"{key}.value"] = layer.weight

for name, make, dim in [
    ("conv", lambda: torch.nn.Conv2d(3, 5, (2, 3)), 0),
    ("transposed", lambda: torch.nn.ConvTranspose1d(4, 3, 2), 1),
    ("vector", lambda: torch.nn.BatchNorm1d(7), 0),
]:
    key = f"spectral_norm.{name}"
    layer = make()
    with torch.no_grad():
        layer.weight.copy_(torch.randn_like(layer.weight))
    arrays[f"{key}.weight"] = layer.weight.clone()
    layer = torch.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=2, dim=dim)
    norm = layer.parametrizations.weight[0]
    if name != "vector":
        torch.nn.init.normal_(norm._u)
        torch.nn.init.normal_(norm._v)
        norm._u /= norm._u.norm()
        norm._v /= norm._v.norm()
        arrays[f"{key}.u"] = norm._u.clone()
        arrays[f"{key}.v"] = norm._v.clone()
    arrays[f"{key}.eval"] = layer.eval().weight
    arrays[f"{key}.train"] = layer.train().weight
    if name != "vector":
        arrays[f"{key}.new_u"] = norm._u
        arrays[f"{key}.new_v"] = norm._v

golden.write(pathlib.Path(__file__).with_name("parametrization.golden"), arrays)
