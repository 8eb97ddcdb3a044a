"""A variable of a layer that is a linear map."""

import dataclasses
from typing import Any

import keras

from tfspecnorm.norms.linear_map import LinearMap


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A variable of a layer that is a linear map.

    Args:
        name: Name of the kernel within its layer, such as `"kernel"`.
        variable: The `keras.Variable`.
        linear_map: `LinearMap` that describes it.
        gates: Names of the equal parts along the last axis that the gates of a recurrent layer
            are; empty for other kernels.
        part: Position of a single gate among `gates`, or `None` for the whole variable.
        followed_by: Name of the kernel that is applied to the outputs of this one, with nothing
            between them: both are factors of one linear map. Empty for other kernels.
    """

    name: str
    variable: keras.Variable
    linear_map: LinearMap
    gates: tuple[str, ...] = ()
    part: int | None = None
    followed_by: str = ""

    def value_in(self, value: Any) -> Any:
        """The kernel within the value of its variable."""
        if self.part is None:
            return value
        size = self.linear_map.kernel_shape[-1]
        return value[..., self.part * size : (self.part + 1) * size]

    def within(self, prefix: str, separator: str = "_") -> "Kernel":
        """The kernel as one of a layer that holds its layer under a name, or under none."""
        if not prefix:
            return self
        name = f"{prefix}{separator}{self.name}"
        followed_by = self.followed_by and f"{prefix}{separator}{self.followed_by}"
        return dataclasses.replace(self, name=name, followed_by=followed_by)

    def alone(self) -> "Kernel":
        """The kernel as a linear map of its own."""
        return dataclasses.replace(self, followed_by="") if self.followed_by else self

    def per_gate(self) -> list["Kernel"]:
        """One kernel for each gate, or the kernel itself if it has none."""
        if not self.gates:
            return [self]
        *rest, last = self.linear_map.kernel_shape
        linear_map = dataclasses.replace(
            self.linear_map, kernel_shape=(*rest, last // len(self.gates))
        )
        return [
            dataclasses.replace(self, name=f"{self.name}_{gate}", linear_map=linear_map, part=part)
            for part, gate in enumerate(self.gates)
        ]
