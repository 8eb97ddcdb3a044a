"""What a spectral report is made of, as data."""

import dataclasses
import json
import math
from typing import Any

from tfspecnorm.analysis import _rendering


@dataclasses.dataclass(frozen=True)
class KernelRecord:
    """One row of a `SpectralReport`: the kernel that a layer computes with.

    A matrix that no description names has a row without norms, which says why in `reason`.

    Args:
        layer: Path of the layer: names of the models that it is in, attributes of other layers.
        layer_class: Class name of the layer, of the inner one if it is wrapped.
        kernel: Name of the kernel within the layer, or of the variable.
        kind: `"dense"`, `"convolution"`, ... as in `tfspecnorm.norms.LinearMap`; `None` where
            that is not known.
        shape: Shape of the kernel.
        parameters: Number of entries.
        normalization: Wrapper and norm, `None` without one.
        sigma: Norm of the raw kernel that the wrapper divides by, as it stands; else `None`.
        matrix_norm: Largest singular value of the kernel as a matrix; `None` without a
            description.
        smallest_singular_value: Smallest singular value of that matrix, over all blocks if it has
            blocks; `None` where only the largest was computed.
        condition_number: `matrix_norm / smallest_singular_value`, infinite for a singular matrix.
        operator_norm: Norm of the layer's map at `input_size`; `None` where that is not known or
            too large to be computed.
        operator_guarantee: `"exact"` or `"estimate"` (from below), `None` without a norm.
        certified_bound: Certified upper bound of the layer's map, at every size if `input_size`
            is not known; `None` without a description.
        input_size: Pixels of the input of a convolution, `None` for other layers; axes of unknown
            size are `None`.
        covered: Whether the wrapper's norm holds at that size; `None` without a wrapper.
        stable_rank: ‖W‖²_F / σ² of the matrix; `None` without a description.
        reason: Why there are no norms; `None` where there are.
    """

    layer: str
    layer_class: str
    kernel: str
    kind: str | None
    shape: tuple[int, ...]
    parameters: int
    normalization: str | None = None
    sigma: float | None = None
    matrix_norm: float | None = None
    smallest_singular_value: float | None = None
    condition_number: float | None = None
    operator_norm: float | None = None
    operator_guarantee: str | None = None
    certified_bound: float | None = None
    input_size: tuple[int | None, ...] | None = None
    covered: bool | None = None
    stable_rank: float | None = None
    reason: str | None = None


class SpectralReport(list):
    """A list of `KernelRecord`s that prints as a table.

    Args:
        model: Name of the model.
        records: The records.

    Attributes:
        unsized: The records without norms, which say why in `reason`.
    """

    def __init__(self, model: str, records: list[KernelRecord]) -> None:
        super().__init__(records)
        self.model = model

    @property
    def unsized(self) -> list[KernelRecord]:
        return [record for record in self if record.reason is not None]

    def __str__(self) -> str:
        return _rendering.text(self)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each kernel."""
        return [dataclasses.asdict(record) for record in self]

    def to_json(self) -> str:
        """The model's name and its kernels as JSON, with `null` for what is not finite."""
        rows = [
            {key: None if value == math.inf else value for key, value in row.items()}
            for row in self.to_dicts()
        ]
        return json.dumps({"model": self.model, "kernels": rows}, indent=2)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with one row for each kernel.

        Raises:
            ImportError: If pandas is not installed.
        """
        return _rendering.frame(self.to_dicts())

    def table(self) -> Any:
        """A `rich.table.Table`.

        Raises:
            ImportError: If rich is not installed.
        """
        return _rendering.table(self)

    def plot(self, path: Any) -> None:
        """Writes a picture of the norms, in the format of the path's ending.

        Raises:
            ImportError: If matplotlib is not installed.
            OSError: If the file cannot be written; nothing is left of it then.
        """
        _rendering.plot(self, path)
