"""Writes `torch_spectral_norm.npz`: what PyTorch's own spectral normalization computes.

Needs PyTorch only: `python tests/reference/make_torch_reference.py`. Arrays are stored in
Keras' layout, kernels as (inputs, outputs) and (height, width, inputs, outputs).
"""

import pathlib

import numpy as np
import torch
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def record(name: str, module: torch.nn.Module, inputs: torch.Tensor, to_keras) -> dict:
    """One training call and one evaluation call from the same weights and vectors."""
    module = spectral_norm(module, n_power_iterations=1)
    state = module.parametrizations.weight
    with torch.no_grad():
        # Vectors away from convergence: the update itself is compared.
        state[0]._u.copy_(torch.nn.functional.normalize(torch.randn_like(state[0]._u), dim=0))
        state[0]._v.copy_(torch.nn.functional.normalize(torch.randn_like(state[0]._v), dim=0))
    raw = state.original
    found = {
        "kernel": to_keras(raw),
        "bias": module.bias,
        "inputs": inputs.movedim(1, -1),
        "vector_u": state[0]._u.clone(),
        "vector_v": vector(state[0]._v, raw, to_keras),
    }
    for mode in ("training", "evaluation"):
        module.train(mode == "training")
        raw.grad = None
        # Without the cache every look at `module.weight` is one more training call.
        with parametrize.cached():
            outputs = module(inputs)
            effective = module.weight
        torch.mean(torch.sin(outputs)).backward()
        found |= {
            f"{mode}_effective": to_keras(effective),
            f"{mode}_gradient": to_keras(raw.grad),
            f"{mode}_outputs": outputs.movedim(1, -1),
            f"{mode}_vector_u": state[0]._u.clone(),
            f"{mode}_vector_v": vector(state[0]._v, raw, to_keras),
        }
    return {f"{name}_{key}": value.detach().numpy() for key, value in found.items()}


def vector(flat: torch.Tensor, raw: torch.Tensor, to_keras) -> torch.Tensor:
    """PyTorch counts inputs before taps, Keras taps before inputs."""
    kernel = to_keras(flat.reshape(1, *raw.shape[1:]))
    return kernel.reshape(-1)


def main() -> None:
    torch.manual_seed(0)
    arrays = record("dense", torch.nn.Linear(7, 5), torch.randn(4, 7), lambda w: w.t().clone())
    arrays |= record(
        "conv2d",
        torch.nn.Conv2d(3, 6, 3),
        torch.randn(2, 3, 8, 8),
        lambda w: w.permute(2, 3, 1, 0).clone(),
    )
    path = pathlib.Path(__file__).with_name("torch_spectral_norm.npz")
    np.savez_compressed(path, torch_version=torch.__version__, **arrays)
    print(f"{path.name}: {len(arrays)} arrays from torch {torch.__version__}")


if __name__ == "__main__":
    main()
