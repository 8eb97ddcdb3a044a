"""Writes `torch_weight_norm.npz`: what PyTorch's own weight normalization computes.

Needs PyTorch only: `python tests/reference/make_torch_weight_norm.py`. Arrays are stored in
Keras' layout, kernels as (..., inputs, outputs), those of transposed convolutions as
(..., outputs, inputs).
"""

import pathlib

import numpy as np
import torch
from torch.nn.utils.parametrizations import weight_norm


def record(name, module, inputs, to_keras, dim=0) -> dict:
    """Outputs and gradients of one call with gains that are not the lengths of the kernel."""
    module = weight_norm(module, dim=dim)
    gain, direction = (
        module.parametrizations.weight.original0,
        (module.parametrizations.weight.original1),
    )
    with torch.no_grad():
        gain.copy_(torch.rand_like(gain) + 0.5)
        direction.copy_(torch.randn_like(direction))
    outputs = module(inputs)
    torch.mean(torch.sin(outputs)).backward()
    images = inputs.ndim == 4
    found = {
        "kernel": to_keras(direction),
        "gain": gain.reshape(-1),
        "inputs": inputs.movedim(1, -1) if images else inputs,
        "outputs": outputs.movedim(1, -1) if images else outputs,
        "effective": to_keras(module.weight),
        "kernel_gradient": to_keras(direction.grad),
        "gain_gradient": gain.grad.reshape(-1),
    }
    if getattr(module, "bias", None) is not None:
        found["bias"] = module.bias
    return {f"{name}/{key}": value.detach().numpy() for key, value in found.items()}


def main() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 4, 7, 7)
    taps_first = lambda weight: weight.permute(2, 3, 1, 0).clone()  # noqa: E731
    arrays = record("dense", torch.nn.Linear(7, 5), torch.randn(4, 7), lambda w: w.t().clone())
    arrays |= record("conv2d", torch.nn.Conv2d(4, 6, 3), image, taps_first)
    arrays |= record("grouped", torch.nn.Conv2d(4, 6, 3, groups=2), image, taps_first)
    arrays |= record(
        "transposed", torch.nn.ConvTranspose2d(4, 3, 3), image, taps_first_of_transposed, dim=1
    )
    # PyTorch has no depthwise class: one group for each channel, outputs channel by channel.
    arrays |= record(
        "depthwise",
        torch.nn.Conv2d(4, 8, 3, groups=4),
        image,
        lambda w: w.reshape(4, 2, 3, 3).permute(2, 3, 0, 1).clone(),
    )
    ids = torch.tensor([[1, 4, 2], [0, 3, 3]])
    arrays |= record("embedding", torch.nn.Embedding(5, 4), ids, lambda w: w.clone(), dim=1)
    path = pathlib.Path(__file__).with_name("torch_weight_norm.npz")
    np.savez_compressed(path, torch_version=torch.__version__, **arrays)
    print(f"{path.name}: {len(arrays)} arrays from torch {torch.__version__}")


def taps_first_of_transposed(weight: torch.Tensor) -> torch.Tensor:
    """PyTorch has (inputs, outputs, taps), Keras (taps, outputs, inputs)."""
    return weight.permute(2, 3, 1, 0).clone()


if __name__ == "__main__":
    main()
