"""Tables of what is not the time of a whole step: kernels alone, memory, depth, norms of arrays."""

from benchmarks.speed.step_tables import GPU
from benchmarks.speed.tables import Figures, markdown, parts_of, ratio, ratios, table


@table("memory of a GPU, float32")
def _memory_of_a_gpu(results: dict[str, Figures]) -> list[str]:
    return ratios(results, GPU["float32"], "memory", "MiB")


@table("memory of a GPU, bfloat16")
def _memory_of_a_gpu_bfloat16(results: dict[str, Figures]) -> list[str]:
    return ratios(results, GPU["bfloat16"], "memory", "MiB")


@table("tensors")
def _tensors(results: dict[str, Figures]) -> list[str]:
    return ratios(results, parts_of("tensors-{}-32"), "memory", "MiB")


@table("tensors, batch of 128")
def _tensors_of_a_large_batch(results: dict[str, Figures]) -> list[str]:
    return ratios(results, parts_of("tensors-{}-128"), "memory", "MiB")


@table("memory")
def _memory(results: dict[str, Figures]) -> list[str]:
    return ratios(results, parts_of("memory-{}"), "memory", "MiB")


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


@table("composites")
def _composites(results: dict[str, Figures]) -> list[str]:
    if "composites" not in results:
        return []
    columns = results["composites"]["figures"]
    names = [name for name in next(iter(columns.values())) if name != "none"]
    rows = [[name, *(ratio(found[name]) for found in columns.values())] for name in names]
    return markdown(["wrapped", *columns], rows)


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
