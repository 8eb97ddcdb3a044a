"""Training that a later process can go on with, from one file that is whole or not there."""

import csv
import json
import math
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.command import CheckError, UsageError, describe
from common.run import Run

STATE = "training.npz"
PREVIOUS = "training.previous.npz"
LOG = "history.csv"
_RECORD = "record"


class TrainingState(keras.callbacks.Callback):
    """Stores weights, optimizer and history together after every epoch, and restores them.

    Weights and history in one file cannot disagree, whenever the process is killed: no epoch is
    lost from the curves or appears twice. `keras.callbacks.BackupAndRestore` writes several
    files one after the other and no history.

    Args:
        run: The run. Its folder gets the state `training.npz`, that of the epoch before as
            `training.previous.npz`, and the log `history.csv`. A state that was stored with
            other settings is refused; in the place of a damaged one the previous one is taken.
        measure: Function from the model to more columns of the history, called after every
            epoch.

    Attributes:
        history: Dict from a column's name to its values, one for each finished epoch.
    """

    def __init__(
        self, run: Run, measure: Callable[[keras.Model], dict[str, float]] = lambda model: {}
    ) -> None:
        super().__init__()
        self.run = run
        self.folder = run.folder
        self.settings = run.settings
        self.measure = measure
        self.history: dict[str, list[float]] = {}
        self._row: dict[str, float] = {}
        self._start = 0.0
        self._newest_is_whole = True

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return max((len(column) for column in self.history.values()), default=0)

    def restore(self, model: keras.Model) -> int:
        """Gives a compiled model the stored state, if there is one and `--restart` is not given.

        Args:
            model: The built and compiled model.

        Returns:
            The number of finished epochs, 0 for a new training.

        Raises:
            UsageError: If the stored state is unreadable, or belongs to another training.
        """
        if self.run.restart:
            self.run.forget()
            return 0
        stored = self._stored()
        if stored is None:
            return 0
        path, record, arrays = stored
        if record["settings"] != self.settings:
            changed = [
                f"{name}={record['settings'].get(name)!r}"
                for name, value in self.settings.items()
                if record["settings"].get(name) != value
            ]
            raise UsageError(
                f"{self.folder.path} holds a training with {', '.join(changed)}; choose another "
                "--output, or --restart to forget that training"
            )
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        if {name: tuple(variable.shape) for name, variable in variables.items()} != {
            name: array.shape for name, array in arrays.items()
        }:
            raise UsageError(f"{path} holds another network; --restart forgets it")
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.history = record["history"]
        self._write_log()
        return self.epoch

    def _stored(self) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]] | None:
        """The newest state that can be read, `None` if there is none at all."""
        path, previous = self.folder / STATE, self.folder / PREVIOUS
        try:
            if path.exists():
                return path, *_read(path)
        except UsageError as error:
            if not previous.exists():
                raise
            stored = previous, *_read(previous)
            print(f"warning: {error}; going on from {previous}", file=sys.stderr)
            self._newest_is_whole = False
            return stored
        # A kill may come between the two renamings of a new state.
        return (previous, *_read(previous)) if previous.exists() else None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        rate = keras.ops.convert_to_tensor(self.model.optimizer.learning_rate)
        self._row = {"learning_rate": float(keras.ops.convert_to_numpy(rate))}
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._row["seconds"] = time.perf_counter() - self._start
        self._row |= {name: float(value) for name, value in (logs or {}).items()}
        for name, value in self._row.items():
            if "loss" in name and not math.isfinite(value):
                raise CheckError(
                    f"the {name.replace('_', ' ')} of epoch {epoch + 1} is {value}; "
                    "try a smaller --learning-rate, with --restart"
                )
        self._row |= self.measure(self.model)
        if self.history and set(self.history) != set(self._row):
            raise UsageError(
                f"epoch {epoch + 1} has other columns than those before: "
                f"{sorted(set(self.history) ^ set(self._row))}; --restart forgets them"
            )
        for name, value in self._row.items():
            self.history.setdefault(name, []).append(value)
        self._write_state()
        # A kill in between is made good by `restore`.
        self._write_log()

    def _write_state(self) -> None:
        record = json.dumps({"settings": self.settings, "history": self.history})
        arrays = {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in _variables(self.model).items()
        }
        with self.folder.writing(STATE, PREVIOUS if self._newest_is_whole else None) as path:
            np.savez(path, **{_RECORD: np.array(record)}, **arrays)
        self._newest_is_whole = True

    def _write_log(self) -> None:
        with self.folder.writing(LOG) as path, path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("epoch", *self.history))
            table.writerows(zip(range(1, self.epoch + 1), *self.history.values(), strict=True))


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """All that training changes: weights, moving averages, random seeds, the optimizer."""
    variables = [*model.variables, *model.optimizer.variables]
    return {str(number): variable for number, variable in enumerate(variables)}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with path.open("rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
        record = json.loads(str(arrays.pop(_RECORD)))
        lengths = {len(column) for column in record["history"].values()}
        if len(lengths) != 1 or not isinstance(record["settings"]["network"], str):
            raise ValueError("no settings, or columns of different lengths")
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UsageError(
            f"cannot read the training state {path} ({describe(error)}); --restart forgets it"
        ) from error
    return record, arrays
