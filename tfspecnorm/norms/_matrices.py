"""Norms of several matrices at once: far fewer operations than one after the other.

Products with matrices are all that is done for each kernel; the rest is done for all.
"""

from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm.norms._segments import numbers_of, segments_of
from tfspecnorm.norms.base import Measurement, OuterProduct, Task


def group_of(task: Task) -> tuple[str, int] | None:
    """Whose tasks can be measured together; `None` for alone."""
    iterations = task.power_iterations
    if task.linear_map.block_axes or task.jit_compile or (iterations and len(task.state) > 2):
        return None
    return keras.backend.standardize_dtype(task.kernel.dtype), iterations


def measured(group: tuple[str, int] | None, tasks: list[Task]) -> list[Measurement]:
    """What `Matrix` says of a group's tasks."""
    if group is None or len(tasks) == 1:
        return [task.alone() for task in tasks]
    kernels = [ops.convert_to_tensor(task.kernel) for task in tasks]
    views = [task.linear_map.matrix(part) for task, part in zip(tasks, kernels, strict=True)]
    rows = segments_of(tuple(view.shape[0] for view in views))
    columns = segments_of(tuple(view.shape[1] for view in views))
    vector_u, vector_v = (
        ops.cast(
            ops.concatenate([ops.convert_to_tensor(task.state[name]) for task in tasks]),
            views[0].dtype,
        )
        for name in ("vector_u", "vector_v")
    )

    def images(vector: Any) -> Any:
        parts = columns.split(ops.reshape(vector, (-1, 1)))
        products = [view @ part for view, part in zip(views, parts, strict=True)]
        return ops.reshape(ops.concatenate(products), (-1,))

    for remaining in reversed(range(tasks[0].power_iterations)):
        parts = rows.split(ops.reshape(vector_v, (1, -1)), axis=1)
        products = [part @ view for view, part in zip(views, parts, strict=True)]
        products = ops.reshape(ops.concatenate(products, axis=1), (-1,))
        vector_u = ops.stop_gradient(columns.normalized(products, vector_u))
        if remaining:
            vector_v = ops.stop_gradient(rows.normalized(images(vector_u), vector_v))
    image = images(vector_u)
    vector_v = rows.normalized(ops.stop_gradient(image), vector_v)
    vectors = zip(columns.split(vector_u), rows.split(vector_v), strict=True)
    return [
        Measurement(
            sigma,
            {"vector_u": own_u, "vector_v": own_v},
            (OuterProduct(task.linear_map, own_v, own_u),),
            inverse,
        )
        for task, (sigma, inverse), (own_u, own_v) in zip(
            tasks, numbers_of(rows.sums(vector_v * image)), vectors, strict=True
        )
    ]
