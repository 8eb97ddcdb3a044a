"""What a claim is: runs that can be made one by one, and what their figures say about it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims.data import DATASETS, GENERATIVE_DATASETS

SCALES = ("small", "paper", "smoke")
VERDICTS = (
    "holds",
    "partly",
    "does not hold",
    "no difference",
    "undecided",
    "not measured yet",
)

# Data sets with classes to tell apart, and all that networks can imitate.
LABELLED = tuple(DATASETS)
PICTURES = tuple(GENERATIVE_DATASETS)

# From the name of a run to what its file holds: `options`, `figures`, `versions`, `seconds`.
Results = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Setting:
    """How large the experiments are.

    Args:
        scale: `"small"` for two processor cores, `"paper"` for the paper's sizes on a GPU,
            `"smoke"` to try the script.
        dataset: Name of a data set, of those of the examples. Claims without data ignore it.
        seeds: Number of seeds, counted from 0. Defaults to the claim's.
    """

    scale: str = "small"
    dataset: str = "digits"
    seeds: int | None = None

    def seeds_or(self, default: int) -> range:
        """The seeds: as many as were asked for, else a number; one to try the script."""
        return range(self.seeds or (1 if self.scale == "smoke" else default))

    def pick(self, **values: Any) -> Any:
        """The value given for the scale: `pick(small=3, paper=400, smoke=1)`."""
        return values[self.scale]


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, which is one process and one file.

    Args:
        name: Name of the file.
        options: All that decides the figures, as JSON has it: sizes, rates, numbers of steps, and
            the `seed`, if any. A file with other options is not taken for this run's.
    """

    name: str
    options: dict[str, Any]

    @property
    def seed(self) -> int | None:
        """The seed of all that is random in the run."""
        return self.options.get("seed")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the page.

    Args:
        claim: What the paper says.
        paper: The paper's figure.
        ours: Our figure, with its spread and the number of seeds.
        verdict: One of `VERDICTS`.
        differs: What is different here.
    """

    claim: str
    paper: str
    ours: str
    verdict: str
    differs: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"`verdict` must be one of {VERDICTS}. Received: {self.verdict!r}")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of a paper, or several that one experiment decides.

    Args:
        name: Name of the script and of the folder of results.
        title: Heading on the page.
        source: The paper, with its arXiv number.
        setup: What is done here, in a few sentences.
        minutes: Time budget of all runs at small scale, on two processor cores.
        runs: From a setting to its runs.
        measure: From a setting and a run to figures, as JSON has them.
        findings: From the results at small scale to rows of the page. It gets what is there:
            some runs may be missing.
        details: From the same results to Markdown that stands below the rows.
        draw: Draws the results into the file of a picture, or is `None`.
        timed: Whether the runs measure time and must have the machine for themselves.
        datasets: The data sets that it can be tried on.
    """

    name: str
    title: str
    source: str
    setup: str
    minutes: float
    runs: Callable[[Setting], Sequence[Run]]
    measure: Callable[[Setting, Run], dict[str, Any]]
    findings: Callable[[Results], list[Finding]]
    details: Callable[[Results], str]
    draw: Callable[[Results, Path], None] | None = None
    timed: bool = False
    datasets: tuple[str, ...] = ("digits",)

    @functools.cached_property
    def page_runs(self) -> dict[str, Run]:
        """The runs that the page is made from, by name."""
        return {run.name: run for run in self.runs(Setting())}
