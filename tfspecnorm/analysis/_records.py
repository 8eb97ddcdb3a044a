"""What a spectral report is made of, as data."""

import dataclasses
import json
from typing import Any

from tfspecnorm.analysis import _rendering


@dataclasses.dataclass(frozen=True)
class KernelRecord:
    """One row of a `SpectralReport`: the kernel that a layer computes with.

    Args:
        layer: Name of the layer, behind the names of the models that it is in.
        layer_class: Class name of the layer, of the inner one if it is wrapped.
        kernel: Name of the kernel within the layer.
        kind: `"dense"`, `"convolution"`, ... as in `tfspecnorm.norms.LinearMap`.
        shape: Shape of the kernel.
        parameters: Number of entries.
        normalization: Wrapper and norm, `None` without one.
        sigma: Norm of the raw kernel that the wrapper divides by, as it stands; else `None`.
        matrix_norm: Largest singular value of the kernel as a matrix.
        operator_norm: Norm of the layer's map at `input_size`; `None` where that is not known or
            too large to be computed.
        operator_guarantee: `"exact"` or `"estimate"` (from below), `None` without a norm.
        certified_bound: Certified upper bound of the layer's map, at every size if `input_size`
            is not known.
        input_size: Pixels of the input of a convolution, `None` for other layers; axes of unknown
            size are `None`.
        covered: Whether the wrapper's norm holds at that size; `None` without a wrapper.
        stable_rank: ‖W‖²_F / σ² of the matrix.
    """

    layer: str
    layer_class: str
    kernel: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    normalization: str | None
    sigma: float | None
    matrix_norm: float
    operator_norm: float | None
    operator_guarantee: str | None
    certified_bound: float
    input_size: tuple[int | None, ...] | None
    covered: bool | None
    stable_rank: float


class SpectralReport(list):
    """A list of `KernelRecord`s that can be shown.

    Args:
        model: Name of the model.
        records: The records.
    """

    def __init__(self, model: str, records: list[KernelRecord]) -> None:
        super().__init__(records)
        self.model = model

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each kernel."""
        return [dataclasses.asdict(record) for record in self]

    def to_json(self) -> str:
        """The model's name and its kernels as JSON."""
        return json.dumps({"model": self.model, "kernels": self.to_dicts()}, indent=2)

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
