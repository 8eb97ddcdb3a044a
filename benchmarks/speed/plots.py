"""The plots of `docs/performance.md`."""

from pathlib import Path

from benchmarks.speed.step_tables import TENSORFLOW
from benchmarks.speed.tables import Figures


def draw(results: dict[str, Figures], folder: Path) -> None:
    """Plots of the training step, and of growth with depth."""
    from matplotlib.figure import Figure

    present = {name: title for name, title in TENSORFLOW.items() if name in results}
    contenders = ("keras SN", "SN", "SN, grouped", "MSN", "WN")
    figure = Figure((8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for place, contender in enumerate(contenders):
        for number, name in enumerate(present):
            found = results[name]["figures"]["training step"].get(contender)
            if found is None:
                continue
            middle = found["ratio"]
            error = [[middle - found["lower_quartile"]], [found["upper_quartile"] - middle]]
            axes.bar(
                number + 0.16 * (place - 2),
                middle - 1,
                0.15,
                bottom=1,
                yerr=error,
                color=f"C{place}",
                label=contender if number == 0 else None,
            )
    axes.set_xticks(range(len(present)), present.values())
    axes.set_ylabel("training step, times un-normalized")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.legend(ncols=len(contenders), fontsize="small")
    figure.savefig(folder / "performance_steps.png", dpi=110)
    if "depth" not in results:
        return
    found = dict(results["depth"]["figures"])
    depths = found.pop("depths")
    figure = Figure((8, 3), layout="constrained")
    for number, kind in enumerate(("step", "first step"), start=1):
        axes = figure.add_subplot(1, 2, number)
        for name, own in found.items():
            axes.loglog(depths, own[kind], marker="o", label=name)
        axes.set_xlabel("dense layers")
        axes.set_ylabel(f"{kind}, s")
        axes.legend(fontsize="small")
    figure.savefig(folder / "performance_depth.png", dpi=110)
