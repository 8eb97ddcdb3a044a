"""Writes `docs/claims.md` and its pictures from the files of the runs.

python -m benchmarks.claims.page
"""

from pathlib import Path
from typing import Any

from benchmarks.claims.__main__ import NAMES, claim_of
from benchmarks.claims.claim import VERDICTS, Claim, Results
from benchmarks.claims.command import RESULTS, finished
from benchmarks.command_line import Parser
from benchmarks.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "claims.md"
PICTURES = PAGE.parent / "images"
_HEAD = """# What the papers claim, measured

People choose a normalization because a paper said so. Each claim below was tried at a size that two
processor cores carry, over several seeds where a seed matters. All figures come from the files in
`benchmarks/claims/results`, which `make claims` writes, and this page from them.

"mean ± deviation" is the standard deviation over seeds. Between two groups there is *no difference*
if that of their means lies inside the spread, which is the root of the sum of both variances; a
limit inside the spread leaves a claim *undecided*. *partly* says that some of the comparisons agree
with the claim, *not measured yet* that runs are missing, or that there are fewer than two seeds.
Where a table gives quartiles or intervals, they take the place of the spread. *not verified* in the
column of the paper: its text could not be opened, and no figure is quoted from memory.

SN is spectral normalization, SSN that with a fixed factor, BSN and BSSN the bidirectional forms of
both, MSN mean spectral normalization, BN batch normalization, WN weight normalization; W is a
kernel, σ(W) its norm, W̄ the normalized kernel.

Larger experiments, for a GPU: `python -m benchmarks.claims.NAME --scale paper`, with `--dataset`
for the data set that the paper used, such as `cifar10`.
"""


def results_of(claim: Claim) -> Results:
    """The finished runs of the page."""
    return finished(RESULTS / claim.name, claim.page_runs.values())


def overview(found: dict[Claim, Results]) -> str:
    """How many findings of each claim have which verdict, with links to the sections."""
    verdicts = {
        claim: [finding.verdict for finding in claim.findings(results)]
        for claim, results in found.items()
    }
    present = [verdict for verdict in VERDICTS if any(verdict in own for own in verdicts.values())]
    lines = [f"| | {' | '.join(present)} |", "|---" * (len(present) + 1) + "|"]
    for claim, own in verdicts.items():
        cells = [str(own.count(verdict) or "") for verdict in present]
        lines.append(f"| [{claim.title}](#{claim.name}) | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def section(claim: Claim, results: Results) -> str:
    """What the page says of a claim."""
    # An anchor of its own: what renders a page makes its own names from headings.
    lines = [
        f'<a id="{claim.name}"></a>',
        "",
        f"## {claim.title}",
        "",
        f"{claim.source}",
        "",
        claim.setup,
        "",
    ]
    lines += ["| claim | paper | here | verdict | what differs |", "|---|---|---|---|---|"]
    for finding in claim.findings(results):
        cells = finding.claim, finding.paper, finding.ours, finding.verdict, finding.differs
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    details = claim.details(results)
    lines += ["", details] if details else []
    if claim.draw is not None and results:
        lines += ["", f"![{claim.title}](images/claims_{claim.name}.png)"]
    return "\n".join([*lines, "", _provenance(claim, results)])


def _provenance(claim: Claim, results: Results) -> str:
    total = len(claim.page_runs)
    command = f"`python -m benchmarks.claims.{claim.name}`"
    if not results:
        return f"{command}; none of {total} runs is there yet."
    versions: dict[str, set[str]] = {}
    for found in results.values():
        for name, version in found["versions"].items():
            versions.setdefault(name, set()).add(version)
    described = ", ".join(f"{name} {' and '.join(sorted(all))}" for name, all in versions.items())
    seeds = sorted({seed for found in results.values() for seed in _seeds(found["options"])})
    minutes = sum(found["seconds"] for found in results.values()) / 60
    count = f"{len(results)} of {total} runs" if len(results) < total else f"{total} runs"
    parts = [command, f"{count}, {minutes:.0f} minutes of a budget of {claim.minutes:.0f}"]
    parts += [f"seeds {', '.join(map(str, seeds))}"] if seeds else []
    return "; ".join([*parts, f"{described}."])


def _seeds(options: dict[str, Any]) -> list[int]:
    """Of a run that has one seed, several or none."""
    return options.get("seeds", [options["seed"]] if options.get("seed") is not None else [])


def written() -> str:
    """The whole page."""
    found = {claim: results_of(claim) for claim in map(claim_of, NAMES)}
    sections = [f"{section(claim, results)}\n" for claim, results in found.items()]
    return "\n".join([_HEAD, overview(found), *sections])


def main() -> None:
    Parser("claims.page", __doc__).parse_args()
    write_whole(PAGE, written())
    for name in NAMES:
        claim = claim_of(name)
        results = results_of(claim)
        if claim.draw is not None and results:
            claim.draw(results, PICTURES / f"claims_{name}.png")


if __name__ == "__main__":
    main()
