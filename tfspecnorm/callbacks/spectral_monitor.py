"""Norms of kernels and of their gradients while a model trains."""

import os
import warnings
from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean, check_positive_integer, is_integer
from tfspecnorm.callbacks._gradient_norms import GradientNorms
from tfspecnorm.callbacks._table import Record, Table
from tfspecnorm.callbacks._tensorboard import Scalars
from tfspecnorm.callbacks._tracking import Tracking
from tfspecnorm.callbacks._undescribed import undescribed
from tfspecnorm.layers._listing import NOT_BUILT, Measured, measured_layers


class SpectralMonitor(keras.callbacks.Callback):
    """Measures σ, operator norm and gradient norm of every layer with kernels in training.

    The values are added to the logs at the end of each epoch, where `History` and the callbacks
    behind this one in the list see them, under these names:

    - `sigma/<layer>`: of a wrapper, σ of the raw kernel as its `sigma()` measures it. Of a plain
      layer the largest singular value of its kernel, of a `WeightNorm` that of the kernel which it
      computes with, both as matrices (`tfspecnorm.norms.Matrix`).
    - `operator_norm/<layer>`: of the map that the layer computes with in evaluation, scale and
      bound included, at the image size that it was built for (`tfspecnorm.norms.Operator`; a
      depthwise convolution has the bound of `tfspecnorm.norms.Fourier`).
    - `gradient_norm/<layer>`: Euclidean norm over all trainable variables of the layer, 0 for a
      frozen one, of the gradient of the compiled loss, regularization included, on a fixed batch
      in training mode.

    `<layer>` is the layer's name, in a wrapper that of the inner layer; `<layer>/<kernel>` where
    it has several kernels; the path `<model>/<layer>` where the name occurs twice.

    A matrix that nobody described, such as a position table, has no column: a warning and
    `left_out` name it, with the reason.

    Guarantee: the model is not changed. Where no wrapper keeps vectors, the first measurement of
    a training converges vectors of its own, and each later one continues from them: an estimate
    from below by a few matrix-vector products. Weights that are not finite give `nan`.

    Args:
        every: `"epoch"`, or a positive integer, the number of training steps between two
            measurements. Then the logs of an epoch have the last values measured by its end.
            Defaults to `"epoch"`.
        operator_norm: Whether operator norms are measured. Defaults to `False`.
        gradients: Pair of inputs and targets, one batch on which gradients are measured, or
            `None`. Costs a training step each time.
        power_iterations: Positive integer, iterations in each measurement from the vectors of the
            one before. Defaults to 5.
        csv: Path of a file of comma-separated values with a row for each measurement, or `None`.
            It is whole at any time. Rows of an earlier run are kept up to the epoch that the
            training starts with, `initial_epoch` of `fit`.
        log_dir: Path of a folder for TensorBoard, or `None`. The points of the curves are
            numbered by epochs, with an integer `every` by steps.

    Attributes:
        left_out: Dict from the paths of layers and matrices that are not measured to the reason.
        records: List of dicts, one for each measurement: `epoch` and `step`, the number of
            finished training steps, as integers, and the values as floats. Like the rows of
            `csv`, those of earlier epochs are kept when training goes on.

    Raises:
        ValueError: For an argument outside of what is said above; at the start of training, or
            once the model is built, if no layer has known kernels, or `csv` has other columns.
        OSError: If `csv` cannot be written.
        ImportError: If no package is installed that writes for TensorBoard.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="hidden")])
    >>> _ = model.layers[0].kernel.assign([[3.0, 0.0], [0.0, 1.0]])
    >>> model.compile(keras.optimizers.SGD(0.0), "mse")
    >>> data = np.ones((4, 2)), np.zeros((4, 2))
    >>> history = model.fit(*data, verbose=0, callbacks=[SpectralMonitor(gradients=data)])
    >>> {name: round(values[0], 3) for name, values in sorted(history.history.items())}
    {'gradient_norm/hidden': 5.477, 'loss': 5.0, 'sigma/hidden': 3.0}
    """

    def __init__(
        self,
        every: str | int = "epoch",
        operator_norm: bool = False,
        gradients: tuple[Any, Any] | None = None,
        power_iterations: int = 5,
        csv: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
    ) -> None:
        super().__init__()
        if not (isinstance(every, str) and every == "epoch") and not (
            is_integer(every) and every > 0
        ):
            raise ValueError(
                'Argument `every` must be "epoch" or a positive integer, a number of steps. '
                f"Received: every={every!r}"
            )
        operator_norm = check_boolean("operator_norm", operator_norm)
        if gradients is not None and not (
            isinstance(gradients, (tuple, list)) and len(gradients) == 2
        ):
            raise ValueError(
                "Argument `gradients` must be a pair of inputs and targets, or `None`. "
                f"Received: gradients={gradients!r}"
            )
        power_iterations = check_positive_integer("power_iterations", power_iterations)
        for name, path in (("csv", csv), ("log_dir", log_dir)):
            if path is not None and (not isinstance(path, (str, os.PathLike)) or path == ""):
                raise ValueError(
                    f"Argument `{name}` must be a path or `None`. Received: {name}={path!r}"
                )
        self.every = every if isinstance(every, str) else int(every)
        self.operator_norm = operator_norm
        self.gradients = gradients
        self.power_iterations = power_iterations
        self.left_out: dict[str, str] = {}
        self.records: list[Record] = []
        self._table = None if csv is None else Table(csv)
        self._scalars = None if log_dir is None else Scalars(log_dir)
        # Counting steps needs no values: Keras need not wait for each step to end.
        self.async_safe = self.every == "epoch"
        self._layers: list[Measured] = []
        self._columns: list[str] = []
        self._prepared = False
        self._first_epoch: int | None = None
        self._steps_before = self._steps_in_epoch = self._epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._first_epoch = None
        self._prepared = False
        _, left_out = measured_layers(self.model)
        if NOT_BUILT not in left_out.values():
            self._prepare()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._first_epoch is None:
            self._first_epoch = epoch
            steps = (self.params or {}).get("steps")
            self._steps_before = 0 if steps is None else epoch * steps
            if self._prepared:
                self._go_on()
        self._epoch = epoch
        self._steps_in_epoch = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Asynchronous calls may come out of order.
        before, self._steps_in_epoch = self._steps_in_epoch, max(self._steps_in_epoch, batch + 1)
        if self.every != "epoch":
            self._prepare_built()
            done = self._steps_before + self._steps_in_epoch
            # Several steps may have been one execution.
            if done // self.every > (self._steps_before + before) // self.every:
                self._record(done)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._prepare_built()
        self._steps_before += self._steps_in_epoch
        self._steps_in_epoch = 0
        if self.every == "epoch" or not self.records:
            self._record(self._steps_before)
        if logs is not None:
            logs.update({name: self.records[-1][name] for name in self._columns})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._scalars is not None:
            self._scalars.close()

    def _prepare_built(self) -> None:
        """Prepare what the first step of training has built, if that has not been done."""
        if not self._prepared:
            self._prepare()
            self._go_on()

    def _prepare(self) -> None:
        """Find out what is to be measured, and whether it can be."""
        model = self.model
        self._layers, self.left_out = measured_layers(model)
        self.left_out |= undescribed(model)
        if not self._layers:
            reasons = "".join(f"; '{name}': {reason}" for name, reason in self.left_out.items())
            raise ValueError(
                "`SpectralMonitor` needs a model in which a layer has known kernels, see "
                f"`tfspecnorm.kernels.registered()`. Received: model '{model.name}' without one"
                f"{reasons}"
            )
        self._tracking = Tracking(self._layers, self.operator_norm, self.power_iterations)
        _warn(self.left_out, self._tracking.without_size)
        self._columns = self._tracking.columns
        self._gradient_norms = None
        if self.gradients is not None:
            self._columns += [f"gradient_norm/{layer.name}" for layer in self._layers]
            self._gradient_norms = self._working_gradient_norms(model)
        columns = ["epoch", "step", *self._columns]
        if self._table is not None:
            self.records = self._table.read(columns)
        elif self.records and list(self.records[0]) != columns:
            self.records = []
        self._prepared = True

    def _go_on(self) -> None:
        """Forget what is trained again, and count on from what stays."""
        self.records = [part for part in self.records if part["epoch"] < self._first_epoch]
        if (self.params or {}).get("steps") is None and self.records:
            self._steps_before += self.records[-1]["step"]
        if self._table is not None:
            self._table.start(["epoch", "step", *self._columns], self.records)

    def _record(self, step: int) -> None:
        # On JAX the model's variables are up to date only once `self.model` was read.
        _ = self.model
        values = self._tracking()
        if self._gradient_norms is not None:
            norms = self._gradient_norms()
            found = zip(self._layers, norms, strict=True)
            values |= {f"gradient_norm/{layer.name}": float(norm) for layer, norm in found}
        values = {name: values[name] for name in self._columns}
        self.records.append({"epoch": self._epoch, "step": step, **values})
        if self._table is not None:
            self._table.add(self.records[-1])
        if self._scalars is not None:
            self._scalars.write(values, self._epoch if self.every == "epoch" else step)

    def _working_gradient_norms(self, model: keras.Model) -> GradientNorms:
        groups = [layer.layer.trainable_variables for layer in self._layers]
        try:
            gradient_norms = GradientNorms(model, groups, *self.gradients)
            gradient_norms()
        except Exception as error:
            # Now, and not after an epoch of training.
            error.add_note("Argument `gradients` of `SpectralMonitor`: see the error above.")
            raise
        return gradient_norms


def _warn(left_out: dict[str, str], without_size: list[str]) -> None:
    if left_out:
        reasons = "; ".join(f"'{name}': {reason}" for name, reason in left_out.items())
        warnings.warn(f"`SpectralMonitor` leaves out layers and matrices: {reasons}", stacklevel=2)
    if without_size:
        warnings.warn(
            "`SpectralMonitor` leaves out `operator_norm` of layers that are built for images of "
            f"no fixed size: {', '.join(without_size)}",
            stacklevel=2,
        )
