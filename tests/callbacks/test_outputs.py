"""What is written: tables, curves, and the logs of other callbacks."""

import builtins
import sys

import keras
import pytest

from tests.callbacks.training import INPUTS, TARGETS, fit, read, small_model
from tests.tools import BACKEND
from tfspecnorm.callbacks import SpectralMonitor


def test_csv_has_a_row_for_each_record(tmp_path):
    path = tmp_path / "monitor.csv"
    monitor = SpectralMonitor(every=2, gradients=(INPUTS, TARGETS), csv=path)
    fit(small_model(), monitor)
    rows = read(path)
    assert list(rows[0]) == ["epoch", "step"] + [
        f"{kind}/{name}" for kind in ("sigma", "gradient_norm") for name in ("conv", "head")
    ]
    found = [{name: float(value) for name, value in row.items()} for row in rows]
    assert found == monitor.records
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert [part.name for part in tmp_path.iterdir()] == ["monitor.csv"]


def test_csv_goes_on_where_training_goes_on(tmp_path):
    path, model = tmp_path / "monitor.csv", small_model()
    fit(model, SpectralMonitor(csv=path), epochs=3)
    first = path.read_text().splitlines()
    monitor = SpectralMonitor(csv=str(path))
    fit(model, monitor, epochs=4, initial_epoch=2)
    second = path.read_text().splitlines()
    assert second[:3] == first[:3]
    assert [row["epoch"] for row in read(path)] == ["0", "1", "2", "3"]
    assert [row["step"] for row in read(path)] == ["4", "8", "12", "16"]
    assert [record["epoch"] for record in monitor.records] == [0, 1, 2, 3]
    fit(model, monitor, epochs=1)
    assert [row["epoch"] for row in read(path)] == ["0"]
    assert len(monitor.records) == 1


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "epoch,step,sigma/conv,sigma/head\n0,4,1.0\n", "\0\n"]
)
def test_csv_of_another_kind_stays_as_it_is(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="`csv` must be the path of a new file.*Received: csv="):
        fit(small_model(), SpectralMonitor(csv=path))
    assert path.read_text() == text


def test_csv_is_whole_after_a_failure(tmp_path, monkeypatch):
    path, model = tmp_path / "monitor.csv", small_model()
    fit(model, SpectralMonitor(csv=path))
    before = path.read_text()
    write_text = type(path).write_text

    def full_disk(self, text, *args, **kwargs):
        write_text(self, text[: len(text) // 2], *args, **kwargs)
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "write_text", full_disk)
    with pytest.raises(OSError, match="no space left"):
        fit(model, SpectralMonitor(csv=path), epochs=3, initial_epoch=2)
    assert path.read_text() == before
    assert [part.name for part in tmp_path.iterdir()] == ["monitor.csv"]


def test_csv_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="`csv` must be.*Received: csv="):
        SpectralMonitor(csv=tmp_path / "none" / "monitor.csv")


def test_callbacks_behind_it_see_the_values(tmp_path):
    logger = keras.callbacks.CSVLogger(str(tmp_path / "logger.csv"))
    best = keras.callbacks.EarlyStopping(monitor="sigma/head", mode="min", patience=5)
    history = fit(small_model(), SpectralMonitor(), logger, best).history
    found = [float(row["sigma/head"]) for row in read(tmp_path / "logger.csv")]
    assert found == history["sigma/head"]


def test_validation_data():
    history = fit(small_model(), SpectralMonitor(every=3), validation_data=(INPUTS, TARGETS))
    assert set(history.history) == {"loss", "val_loss", "sigma/conv", "sigma/head"}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="reads with TensorFlow")
@pytest.mark.parametrize("every", ["epoch", 2])
def test_tensorboard_shows_scalars(tmp_path, every):
    import tensorflow as tf

    monitor = SpectralMonitor(every=every, log_dir=tmp_path / "logs")
    fit(small_model(), monitor)
    (path,) = (tmp_path / "logs").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    expected = {
        (name, record["step" if every == 2 else "epoch"]): record[name]
        for record in monitor.records
        for name in ("sigma/conv", "sigma/head")
    }
    assert found == expected


def test_tensorboard_that_is_not_installed(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tensorflow" or name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="`log_dir`.*pip install tensorflow-cpu"):
        SpectralMonitor(log_dir=tmp_path)


def test_tensorboard_by_pytorch(tmp_path, monkeypatch):
    """Where TensorFlow is missing, by what stands in for the writer of PyTorch."""
    written = []

    class SummaryWriter:
        def __init__(self, log_dir):
            self.log_dir = log_dir

        def add_scalar(self, *point):
            written.append(point)

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    real = builtins.__import__
    module = type(sys)("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter

    def without(name, *args, **kwargs):
        if name == "tensorflow":
            raise ImportError(name)
        return module if name == "torch.utils.tensorboard" else real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monitor = SpectralMonitor(log_dir=tmp_path)
    monkeypatch.setattr(builtins, "__import__", real)
    monitor._scalars._open = lambda folder: _writer(monkeypatch, without, real, folder)
    fit(small_model(), monitor, epochs=1)
    names = [point[0] for point in written[:-1]]
    assert names == ["sigma/conv", "sigma/head"]
    assert written[-1] == "closed"


def _writer(monkeypatch, without, real, folder):
    from tfspecnorm.callbacks._tensorboard import _TorchWriter

    monkeypatch.setattr(builtins, "__import__", without)
    writer = _TorchWriter(folder)
    monkeypatch.setattr(builtins, "__import__", real)
    return writer
