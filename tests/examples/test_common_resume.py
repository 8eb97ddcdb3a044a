"""A stored training is restored whole, refused with a reason, and never half."""

import csv
import json

import common
import keras
import numpy as np
import pytest
from common import resume

INPUTS = np.random.default_rng(0).standard_normal((32, 5)).astype("float32")
LABELS = INPUTS.argmax(axis=1)


def new_model(units=6, learning_rate=0.1):
    """A network in which every kind of state takes part: moments, averages, random seeds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(5),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, 4 * 4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def fit(run, last_epoch=4, measure=lambda model: {"size": 1.0}):
    """Trains up to an epoch, as a process does that is killed after it."""
    model = new_model()
    state = common.TrainingState(run, measure)
    first = state.restore(model)
    model.fit(
        INPUTS,
        LABELS,
        batch_size=8,
        initial_epoch=first,
        epochs=last_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[state],
    )
    return model, state, first


def test_resumed_training_is_the_uninterrupted_one(new_run):
    expected_model, expected, _ = fit(new_run())
    new_run(restart=True).forget()
    assert fit(new_run(), 1)[2] == 0
    assert fit(new_run(), 3)[2] == 1
    model, state, first = fit(new_run())
    assert (first, state.epoch) == (3, 4)
    for name in ("loss", "learning_rate", "size"):
        assert state.history[name] == expected.history[name]
    for weight, other in zip(model.variables, expected_model.variables, strict=True):
        assert np.array_equal(weight, other), weight.path


def test_learning_rate_of_every_epoch_is_that_of_the_schedule(new_run):
    fit(new_run(), 2)
    _, state, _ = fit(new_run())
    expected = [0.05 * (1 + np.cos(np.pi * epoch / 4)) for epoch in range(4)]
    assert state.history["learning_rate"] == pytest.approx(expected, rel=1e-5)


def test_log_has_every_epoch_once(new_run, tmp_path):
    fit(new_run(), 3)
    _, state, _ = fit(new_run())
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in rows] == state.history["loss"]
    assert set(rows[0]) == {"epoch", "learning_rate", "seconds", "loss", "size"}


def test_log_that_a_kill_left_behind_is_made_good(new_run, tmp_path):
    fit(new_run(), 2)
    expected = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").unlink()
    assert common.TrainingState(new_run()).restore(new_model()) == 2
    assert (tmp_path / "history.csv").read_text() == expected


def test_finished_training_is_not_repeated(new_run):
    _, expected, _ = fit(new_run())
    _, state, first = fit(new_run())
    assert first == 4
    assert state.history == expected.history


def test_interrupted_epoch_leaves_the_one_before(new_run, tmp_path):
    fit(new_run(), 1)
    stored = (tmp_path / "training.npz").read_bytes()

    def interrupt(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(new_run(), 2, measure=interrupt)
    assert (tmp_path / "training.npz").read_bytes() == stored
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "training.npz"]


def test_state_of_the_epoch_before_stays(new_run, tmp_path):
    fit(new_run(), 1)
    first = (tmp_path / "training.npz").read_bytes()
    fit(new_run(), 2)
    assert (tmp_path / "training.previous.npz").read_bytes() == first
    assert (tmp_path / "training.npz").read_bytes() != first


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_state_gives_way_to_the_one_before(new_run, tmp_path, damage, capfd):
    _, expected, _ = fit(new_run())
    whole = (tmp_path / "training.previous.npz").read_bytes()
    if damage is None:  # A kill between the two renamings leaves none.
        (tmp_path / "training.npz").unlink()
    else:
        (tmp_path / "training.npz").write_bytes(damage)
    capfd.readouterr()
    state = common.TrainingState(new_run())
    assert state.restore(new_model()) == 3
    error = capfd.readouterr().err
    if damage is None:
        assert error == ""
    else:
        assert error.startswith("warning: cannot read the training state ")
        assert f"; going on from {tmp_path / 'training.previous.npz'}" in error
        assert error.count("\n") == 1
    _, state, first = fit(new_run())
    assert (first, state.epoch) == (3, 4)
    assert state.history["loss"] == expected.history["loss"]
    # The damaged one has not taken the place of the one that was whole.
    if damage is not None:
        assert (tmp_path / "training.previous.npz").read_bytes() == whole


def test_two_damaged_states_are_refused(new_run, tmp_path):
    fit(new_run(), 2)
    for name in ("training.npz", "training.previous.npz"):
        (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(common.UsageError) as caught:
        common.TrainingState(new_run()).restore(new_model())
    assert f"cannot read the training state {tmp_path / 'training.previous.npz'}" in str(
        caught.value
    )
    assert str(caught.value).endswith("--restart forgets it")


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 5), ("seed", 1), ("learning_rate", 0.2), ("dataset", "mnist")]
)
def test_other_settings_are_refused(new_run, name, value):
    run = new_run()
    fit(run, 1)
    state = common.TrainingState(new_run(**{name: value}))
    with pytest.raises(common.UsageError) as caught:
        state.restore(new_model())
    assert f"holds a training with {name}={run.settings[name]!r}; choose another" in str(
        caught.value
    )
    assert state.epoch == 0


def test_another_network_is_refused(new_run):
    fit(new_run(), 1)
    model = new_model(units=7)
    before = model.get_weights()
    with pytest.raises(common.UsageError) as caught:
        common.TrainingState(new_run()).restore(model)
    assert "holds another network" in str(caught.value)
    assert all(map(np.array_equal, model.get_weights(), before))


def test_restart_forgets(new_run, tmp_path):
    fit(new_run(), 1)
    kept = {"notes.txt", "photo.png", "package.json"}
    for name in ("net.tflite", "report.json", "training.previous.npz", *kept):
        (tmp_path / name).touch()
    run = new_run(restart=True, seed=1)
    assert common.TrainingState(run).restore(new_model()) == 0
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_other_columns_are_refused_before_anything_is_written(new_run, tmp_path):
    fit(new_run(), 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(common.UsageError) as caught:
        fit(new_run(), measure=lambda model: {"width": 1.0})
    assert "epoch 3 has other columns than those before: ['size', 'width']" in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def damaged(content):
    """The stored file, cut at many places and with single bytes changed."""
    random = np.random.default_rng(0)
    for length in (0, 1, 10, *random.integers(0, len(content), 15), len(content) - 1):
        yield content[:length]
    for place in random.integers(0, len(content), 30):
        changed = bytearray(content)
        changed[place] ^= 255
        yield bytes(changed)


def test_damaged_state_is_refused_or_whole(new_run, tmp_path):
    model, _, _ = fit(new_run(), 1)
    expected = model.get_weights()
    path = tmp_path / "training.npz"
    content = path.read_bytes()
    refused = 0
    for part in damaged(content):
        path.write_bytes(part)
        other = new_model()
        try:
            common.TrainingState(new_run()).restore(other)
        except common.UsageError as error:
            assert str(path) in str(error)
            assert str(error).endswith("; --restart forgets it")
            assert "\n" not in str(error)
            refused += 1
        else:
            # A change where no reader looks, such as a date in the archive.
            assert all(map(np.array_equal, other.get_weights(), expected))
    assert refused > 30


def array_of(record):
    return np.array(json.dumps(record))


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"settings": {}},
        {"settings": {}, "history": {"loss": [1.0], "size": []}},
        {"settings": [], "history": {"loss": [1.0]}},
        {"settings": {}, "history": {"loss": "no"}},
        {"settings": {}, "history": {}},
    ],
)
def test_archive_of_something_else_is_refused(new_run, tmp_path, record):
    np.savez(tmp_path / "training.npz", record=array_of(record))
    with pytest.raises(common.UsageError) as caught:
        common.TrainingState(new_run()).restore(new_model())
    assert "cannot read the training state" in str(caught.value)


def test_single_array_is_refused(new_run, tmp_path):
    with (tmp_path / "training.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(common.UsageError) as caught:
        common.TrainingState(new_run()).restore(new_model())
    assert "cannot read the training state" in str(caught.value)


def test_loss_that_is_not_finite_stops(new_run, tmp_path):
    model = new_model()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    state = common.TrainingState(new_run())
    with pytest.raises(common.CheckError) as caught:
        model.fit(INPUTS, INPUTS * 1e30, epochs=3, verbose=0, callbacks=[state])
    assert "the loss of epoch" in str(caught.value)
    assert "--learning-rate" in str(caught.value)
    assert not (tmp_path / resume.STATE).exists()
