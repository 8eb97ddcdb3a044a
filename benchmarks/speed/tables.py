"""The tables of `docs/performance.md`: functions from all results to lines of Markdown."""

from collections.abc import Callable
from typing import Any

Figures = dict[str, Any]
TABLES: dict[str, Callable[[dict[str, Figures]], list[str]]] = {}


def table(name: str) -> Callable[[Callable], Callable]:
    """Registers a function from all results to the lines of a table."""

    def add(function: Callable) -> Callable:
        TABLES[name] = function
        return function

    return add


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _ratio(found: Figures | None) -> str:
    if found is None:
        return ""
    return f"{found['ratio']:.3f} ({found['lower_quartile']:.3f} to {found['upper_quartile']:.3f})"


def _by_contender(
    results: dict[str, Figures], parts: dict[str, str], figure: str, skip: str = ""
) -> list[str]:
    """One row for each contender, one column for each part that is there."""
    measured = {name: results.get(name, {"figures": {}})["figures"] for name in parts}
    parts = {name: title for name, title in parts.items() if figure in measured[name]}
    columns = {name: measured[name][figure] for name in parts}
    names = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [
        [name, *(_ratio(column.get(name)) for column in columns.values())]
        for name in names
        if name != "none" and not (skip and name.endswith(skip))
    ]
    base = ["none, ms"]
    base += [f"{column['none']['milliseconds']:.1f}" for column in columns.values()]
    return markdown(["contender", *parts.values()], [base, *rows])


TENSORFLOW = {
    "tensorflow-vgg7": "VGG7",
    "tensorflow-densenet_bc": "DenseNet-BC-100",
    "tensorflow-mobilenet_v2": "MobileNetV2 0.5",
    "tensorflow-mobilenet_v2_full": "MobileNetV2 1.0",
    "tensorflow-transformer": "Transformer",
    "tensorflow-sn_dcgan": "SN-DCGAN",
}


@table("training step")
def _training_step(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, TENSORFLOW, "training step")


@table("parts")
def _parts(results: dict[str, Figures]) -> list[str]:
    parts = {"tensorflow-mobilenet_v2-parts": "MobileNetV2 0.5"}
    return _by_contender(results, parts, "training step")


@table("first step")
def _first_step(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, TENSORFLOW, "first step")


@table("inference")
def _inference(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, TENSORFLOW, "inference")


@table("batch of 128")
def _large_batch(results: dict[str, Figures]) -> list[str]:
    parts = {"tensorflow-vgg7-128": "VGG7", "tensorflow-mobilenet_v2-128": "MobileNetV2 0.5"}
    return _by_contender(results, parts, "training step")


@table("XLA")
def _compiled(results: dict[str, Figures]) -> list[str]:
    lines = []
    for figure in ("training step", "first step"):
        parts = {
            "tensorflow-vgg7-xla": f"VGG7, {figure}",
            "tensorflow-mobilenet_v2-xla": f"MobileNetV2 0.5, {figure}",
        }
        lines += [*_by_contender(results, parts, figure), ""]
    return lines[:-1]


@table("backends")
def _backends(results: dict[str, Figures]) -> list[str]:
    parts = {
        f"{backend}-{network}": f"{title}, {name}"
        for network, name in (("vgg7", "VGG7"), ("mobilenet_v2", "MobileNetV2 0.5"))
        for backend, title in (("jax", "JAX"), ("torch", "PyTorch"))
    }
    return _by_contender(results, parts, "training step")


GPU = {
    "gpu-mobilenet_v2-128-float32": "MobileNetV2 0.5, batch 128",
    "gpu-mobilenet_v2-512-float32": "batch 512",
    "gpu-mobilenet_v2-512-bfloat16": "batch 512, bfloat16",
    "gpu-densenet_bc-128-float32": "DenseNet-BC-100, batch 128",
    "gpu-sn_dcgan-128-float32": "SN-DCGAN, batch 128",
}


@table("GPU")
def _gpu(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, GPU, "training step")


@table("memory of a GPU")
def _memory_of_a_gpu(results: dict[str, Figures]) -> list[str]:
    parts = {name: title for name, title in GPU.items() if name in results}
    columns = [results[name]["figures"]["memory"] for name in parts]
    names = list(dict.fromkeys(key for column in columns for key in column))
    rows = [
        [name, *(f"{column[name]['ratio']:.3f}" if name in column else "" for column in columns)]
        for name in names
        if name != "none"
    ]
    base = ["none, MiB", *(f"{column['none']['mebibytes']:,.0f}" for column in columns)]
    return markdown(["contender", *parts.values()], [base, *rows])


_PEERS = {
    "keras2": "TensorFlow 2.15",
    "pytorch": "PyTorch",
    "flax": "flax",
    "equinox": "equinox",
}


@table("peers")
def _peers(results: dict[str, Figures]) -> list[str]:
    rows = []
    for framework, title in _PEERS.items():
        columns = {
            network: results.get(f"{framework}-{network}", {}).get("figures", {})
            for network in ("vgg7", "mobilenet_v2")
        }
        names = dict.fromkeys(
            name for found in columns.values() for name in found.get("training step", {})
        )
        for name in names:
            if name == "none":
                continue
            cells = [
                _ratio(found.get(figure, {}).get(name))
                for found in columns.values()
                for figure in ("training step", "first step")
            ]
            rows.append([title, name, *(cell.split(" (")[0] if i % 2 else cell
                                         for i, cell in enumerate(cells))])  # fmt: skip
    head = ["framework", "contender", "VGG7, step", "first step", "MobileNetV2 0.5, step"]
    return markdown([*head, "first step"], rows)


@table("isolated")
def _isolated(results: dict[str, Figures]) -> list[str]:
    if "isolated" not in results:
        return []
    found = dict(results["isolated"]["figures"]["isolated"])
    bandwidth, size, least = (found.pop(name) for name in ("bandwidth", "bytes", "least"))
    rows = [[name, f"{value:.2f}", f"{value / least:.1f}"] for name, value in found.items()]
    head = [
        "contender",
        f"ms for {size / 2**20:.1f} MiB of kernels",
        f"times {least:.2f} ms, three passes at {bandwidth / 1e9:.1f} GB/s",
    ]
    return markdown(head, rows)


@table("memory")
def _memory(results: dict[str, Figures]) -> list[str]:
    found = results.get("memory", {}).get("figures", {}).get("memory", {})
    rows = [[name, f"{own['mebibytes']:.0f}", f"{own['ratio']:.3f}"] for name, own in found.items()]
    return markdown(["contender", "MiB", "ratio"], rows)


@table("depth")
def _depth(results: dict[str, Figures]) -> list[str]:
    if "depth" not in results:
        return []
    found = dict(results["depth"]["figures"])
    depths = found.pop("depths")
    rows = []
    for name, own in found.items():
        cells = [f"{1000 * step:.1f} / {first:.2f}" for step, first in zip(
            own["step"], own["first step"], strict=True)]  # fmt: skip
        exponents = ""
        if name != "none":
            kinds = ("step", "first step")
            exponents = " / ".join(f"{own[f'exponent of the {kind}']:.2f}" for kind in kinds)
        rows.append([name, *cells, exponents])
    return markdown(["step, ms / first step, s", *map(str, depths), "exponents"], rows)


@table("norms")
def _norms(results: dict[str, Figures]) -> list[str]:
    sizes = results.get("norm_times", {}).get("figures", {})
    methods = list(dict.fromkeys(name for found in sizes.values() for name in found))
    rows = []
    for method in methods:
        cells = []
        for found in sizes.values():
            own = found.get(method)
            cells.append(
                "" if own is None else f"{1000 * own['seconds']:.3g} ({own['deviation']:+.1e})"
            )
        rows.append([method, *cells])
    return markdown(["ms (relative deviation)", *sizes], rows)


@table("norms to a tolerance")
def _norms_to_a_tolerance(results: dict[str, Figures]) -> list[str]:
    """The quickest setting of each family that is near enough."""
    sizes = results.get("norm_times", {}).get("figures", {})
    families = {
        "operator norm": "operator norm",
        "Fourier, all singular values": "circular FFT",
        "Fourier, by Cholesky": "Fourier certificate",
        "Gram": "Gram, ",
        "Gram in space": "Gram in space",
        "tensor norm": "tensor norm",
        "four reshapes": "four reshapes",
    }
    rows = []
    for tolerance in (1e-3, 5e-2):
        for title, start in families.items():
            cells = []
            for found in sizes.values():
                times = [
                    own["seconds"]
                    for name, own in found.items()
                    if name.startswith(start) and abs(own["deviation"]) <= tolerance
                ]
                cells.append(f"{1000 * min(times):.3g}" if times else "not reached")
            rows.append([f"{title}, to {tolerance:g}", *cells])
    return markdown(["ms", *sizes], rows)


@table("commands")
def _commands(results: dict[str, Figures]) -> list[str]:
    versions: dict[str, set[str]] = {}
    for found in results.values():
        for name, version in found["versions"].items():
            versions.setdefault(name, set()).add(version)
    described = ", ".join(f"{name} {' and '.join(sorted(all))}" for name, all in versions.items())
    seeds = sorted({found["seed"] for found in results.values()})
    return [f"`make bench`; {described}; seed {', '.join(map(str, seeds))}."]
