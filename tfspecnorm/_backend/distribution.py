"""Where variables that belong to another one are kept: on the devices of its shards."""

import contextlib
import re
from collections.abc import Iterator, Sequence

import keras


@contextlib.contextmanager
def sharded_as(
    variable: keras.Variable, name: str, shape: Sequence[int], axes: Sequence[tuple[int, ...]]
) -> Iterator[None]:
    """A context in which a variable is made whose axes are shards where those of another one are.

    Without it the layouts of a `keras.distribution.ModelParallel` are looked up by the path of the
    new variable, and one that is meant for a kernel fits no vector.

    Args:
        variable: The variable that there is.
        name: Name of the variable that is made.
        shape: Its shape.
        axes: For each of its axes the axes of the other variable whose entries it counts, in the
            order in which they are flattened. Axes without any, and further ones, are whole.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.ModelParallel):
        yield
        return
    mesh = distribution.device_mesh
    names = distribution.get_variable_layout(variable).axes
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    layout: list[str | None] = [None] * len(shape)
    for number, own in enumerate(axes):
        shards = [names[axis] for axis in own]
        # Of several axes only the first one is contiguous in what they are flattened to.
        if shards and shards[0] is not None and not any(shards[1:]):
            layout[number] = shards[0] if shape[number] % sizes[shards[0]] == 0 else None
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[f".*{re.escape(name)}$"] = keras.distribution.TensorLayout(layout, mesh)
    with keras.distribution.ModelParallel(layout_map=layouts).scope():
        yield
