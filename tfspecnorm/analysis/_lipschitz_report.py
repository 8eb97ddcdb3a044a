"""What a Lipschitz bound is made of, as data that prints."""

import dataclasses
import math
from collections.abc import Callable

# So many layers are named for each reason.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class LayerFactor:
    """The Lipschitz constant of one call of a layer.

    Args:
        name: Name of the layer, behind the names of the models that it is in.
        layer: Class name of the layer.
        factor: The constant; for a merging layer that of all its inputs together; infinite where
            there is no bound.
        certified: Whether the factor is a proven upper bound.
        reason: Why there is no bound and what to do about it; `None` where there is one.
    """

    name: str
    layer: str
    factor: float
    certified: bool
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class LipschitzReport:
    """What `lipschitz_bound` found.

    Args:
        model: Name of the model.
        bound: ‖model(x) − model(y)‖₂ ≤ bound · ‖x − y‖₂, infinite if a layer has no bound.
        layers: Tuple with a `LayerFactor` for each call of a layer, in the order of the data.
        input_shapes: Tuple with the shape of each input, without the batch axis; `None` for what
            may be of any size. Empty if the inputs of the model are not known.
    """

    model: str
    bound: float
    layers: tuple[LayerFactor, ...]
    input_shapes: tuple[tuple[int | None, ...], ...]
    # Whether what is merged at unknown sizes fits at known ones without being repeated.
    _fits: Callable[..., bool] | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def certified(self) -> bool:
        """Whether the bound is finite and every factor in it proven."""
        return math.isfinite(self.bound) and all(layer.certified for layer in self.layers)

    @property
    def unbounded(self) -> list[str]:
        """Names of the layers that have no bound."""
        return [layer.name for layer in self.layers if not layer.certified]

    def covers(self, *input_shapes: tuple[int | None, ...]) -> bool:
        """Whether the bound holds for inputs of these shapes, given without the batch axis.

        It holds for the shapes that it was computed for; other ones are not covered. Where a model
        takes any size, neither are sizes at which it adds or multiplies tensors of different sizes:
        there an entry is repeated, and counts more than once.

        Raises:
            ValueError: If a shape is no tuple or list.
        """
        if not all(isinstance(shape, (list, tuple)) for shape in input_shapes):
            raise ValueError(
                "Argument `input_shapes` must be shapes without the batch axis. "
                f"Received: input_shapes={input_shapes!r}"
            )
        if not self.input_shapes or len(input_shapes) != len(self.input_shapes):
            return False
        fits = all(
            len(asked) == len(own)
            and all(limit is None or size == limit for size, limit in zip(asked, own, strict=True))
            for asked, own in zip(input_shapes, self.input_shapes, strict=True)
        )
        return fits and (self._fits is None or self._fits(input_shapes))

    def __str__(self) -> str:
        width = max((len(layer.name) for layer in self.layers), default=0)
        lines = [
            f"{layer.name:<{width}}  "
            f"{f'{layer.factor:.4g}' if layer.certified else 'no bound':<10}  {layer.layer}"
            for layer in self.layers
        ]
        found = f"{self.bound:.6g}" if self.certified else "none"
        lines.append(f"Lipschitz bound of {self.model}: {found}")
        if self.unbounded:
            lines += ["", "The bound is lost at:", *self._advice()]
        return "\n".join(lines)

    def _advice(self) -> list[str]:
        """A line for each reason, with the names of the layers that have it."""
        names: dict[tuple[str, str | None], list[str]] = {}
        for layer in self.layers:
            if not layer.certified and layer.name not in names.setdefault(
                (layer.layer, layer.reason), []
            ):
                names[layer.layer, layer.reason].append(layer.name)
        return [
            f"- {', '.join(some[:_NAMED])}"
            + (f" and {len(some) - _NAMED} more" if len(some) > _NAMED else "")
            + f" ({kind}): {reason}."
            for (kind, reason), some in names.items()
        ]
