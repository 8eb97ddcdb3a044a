"""The claim on accuracy: its training, what counts as failed, and its verdicts."""

import math

import keras
import numpy as np
import pytest

from benchmarks.claims import accuracy, classifiers
from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Split

RATES = (1e-2, 1e-3, 1e-4)
ROWS = ("failing", "bn cnn", "bn vgg7", "bn densenet", "sn cnn", "sn vgg7", "sn densenet", "rates")


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(0)
    images = random.standard_normal((96, 32, 32, 1), "float32")
    labels = random.integers(0, 3, 96).astype("int32")
    # Something to learn: each class has its own brightness.
    images += labels[:, None, None, None]
    parts = [(images[start : start + 32], labels[start : start + 32]) for start in (0, 32, 64)]
    return Split(*parts, (32, 32, 1), 3)


@pytest.fixture(scope="module")
def twice(split):
    """Records of two trainings from the same start, and of one at another rate between them."""
    protocol = classifiers.Protocol("vgg7", 32, 3, {"width": 0.1, "dropout": 0.0}, batch_size=16)
    keras.utils.set_random_seed(0)
    model = classifiers.compiled(protocol, "mean-spectral", split, "digits", 0)
    start = classifiers.Start(model)
    records = []
    for rate in (1e-3, 1e-2, 1e-3):
        start.restore(rate)
        assert float(model.optimizer.learning_rate.value) == pytest.approx(rate)
        assert int(model.optimizer.iterations.value) == 0
        records.append(classifiers.trained(model, split, protocol, rate, 0))
    return model, records


def test_every_training_begins_at_the_same_values_with_the_same_order(twice):
    _, (first, other, again) = twice
    assert first == again
    assert first["history"] != other["history"]


def test_the_test_is_that_of_the_epoch_selected_in_validation(twice, split):
    model, records = twice
    record, history = records[-1], records[-1]["history"]
    ranks = list(zip(history["val_accuracy"], (-loss for loss in history["val_loss"]), strict=True))
    assert record["epoch"] == ranks.index(max(ranks))
    assert record["selected"] == max(history["val_accuracy"])
    # The model still has the weights of that epoch.
    for images, labels, accuracy_ in (
        (*split.validation, record["selected"]),
        (*split.test, record["test"]),
    ):
        predicted = model.predict(images, verbose=0).argmax(axis=1)
        assert float(np.mean(predicted == labels)) == pytest.approx(accuracy_, abs=1e-6)


def test_a_training_whose_loss_is_no_number_ends(split):
    protocol = classifiers.Protocol("vgg7", 32, 3, {"width": 0.1, "dropout": 0.0})
    model = classifiers.compiled(protocol, "none", split, "digits", 0)
    model.get_layer("head").bias.assign([math.nan] * 3)
    record = classifiers.trained(model, split, protocol, 1e-3, 0)
    assert record["epoch"] is record["test"] is None
    assert classifiers.failed(record, 3, 3)


@pytest.mark.parametrize(
    ("losses", "accuracies", "expected"),
    [
        ([2.3, 0.1], [0.1, 0.9], False),
        ([2.3, 2.3], [0.9, 0.19], True),
        ([2.3, None], [0.9, 0.9], True),
        ([2.3, math.inf], [0.9, 0.9], True),
        ([2.3], [0.9], True),
    ],
)
def test_failed_trainings(losses, accuracies, expected):
    record = {"history": {"loss": losses, "accuracy": accuracies}}
    assert classifiers.failed(record, classes=10, epochs=2) is expected


def test_noise_has_its_deviation_and_is_always_the_same(split):
    one, two = (classifiers.noisy(split, 0.5) for _ in range(2))
    difference = one.training[0] - split.training[0]
    assert difference.std() == pytest.approx(0.5, rel=0.02)
    assert np.array_equal(one.test[0], two.test[0])
    assert not np.array_equal(difference, one.test[0] - split.test[0])


def test_augmentation_is_in_training_alone(split):
    protocol = classifiers.Protocol("vgg7", 32, 1, {"width": 0.1, "dropout": 0.0}, shift=4)
    model = classifiers.compiled(protocol, "none", split, "cifar10", 0)
    images = split.test[0][:4]
    network = model.get_layer("vgg7")
    plain = network(images, training=False)
    np.testing.assert_allclose(model(images, training=False), plain, atol=1e-6)
    assert not np.allclose(model(images, training=True), plain, atol=1e-3)
    names = [type(layer).__name__ for layer in model.layers]
    assert names == ["InputLayer", "RandomTranslation", "RandomFlip", "Functional"]
    classifiers.Start(model).restore(1e-3)


def test_weight_normalization_has_its_robust_start(split):
    protocol = classifiers.protocol_of(Setting("smoke"), "vgg7")
    model = classifiers.compiled(protocol, "weight", split, "digits", 0)
    conv = next(own for own in model.layers if getattr(own, "layer", own).name == "conv2")
    inputs, outputs = conv.layer.kernel.shape[2:]
    gains = keras.ops.convert_to_numpy(conv.gains()["kernel"].value)
    np.testing.assert_allclose(gains, math.sqrt(2 * inputs / outputs), rtol=1e-6)


def test_runs():
    small = accuracy.runs(Setting())
    assert len(small) == 55 and len({run.name for run in small}) == 55
    assert all(run.options["rates"] == list(RATES) for run in small)
    paper = accuracy.runs(Setting("paper", "cifar10"))
    assert len(paper) == 165 and len({run.name for run in paper}) == 165
    assert len(accuracy.runs(Setting("smoke"))) == 2


def results_of(network, normalization, by_rate, failed=()):
    """Results of as many seeds as there are accuracies."""
    seeds = range(len(by_rate[RATES[0]]))
    return {
        f"{network}-{normalization}-seed-{seed}": {
            "options": {"network": network, "normalization": normalization, "seed": seed},
            "figures": {
                "trainings": [
                    {
                        "rate": rate,
                        "test": by_rate[rate][seed],
                        "selected": by_rate[rate][seed],
                        "failed": rate in failed,
                    }
                    for rate in RATES
                ]
            },
        }
        for seed in seeds
    }


def network_results(network, spectral, batch, mean, none=0.95, failed=()):
    def around(value):
        return {rate: [value - 0.001, value, value + 0.001] for rate in RATES}

    results = {}
    for name, value in (
        ("spectral", spectral),
        ("batch", batch),
        ("mean-spectral", mean),
        ("none", none),
    ):
        own = failed if name == "spectral" else ()
        results |= results_of(network, name, around(value), own)
    return results


def verdicts(results):
    return dict(zip(ROWS, (found.verdict for found in accuracy.findings(results)), strict=True))


def test_verdicts_when_the_claims_hold():
    results = network_results("small_cnn", 0.85, 0.93, 0.95, failed=(1e-2,))
    found = verdicts(results)
    assert found["failing"] == found["bn cnn"] == found["sn cnn"] == found["rates"] == "holds"
    assert found["bn vgg7"] == found["sn densenet"] == "not measured yet"


def test_verdicts_when_they_do_not():
    results = network_results("small_cnn", 0.95, 0.95, 0.93)
    found = verdicts(results)
    assert found["failing"] == found["bn cnn"] == found["sn cnn"] == "does not hold"
    assert found["rates"] == "no difference"


def test_a_small_gap_is_no_failure_and_a_gap_inside_the_spread_no_difference():
    found = verdicts(network_results("small_cnn", 0.94, 0.95, 0.95))
    assert found["failing"] == "does not hold"
    assert found["bn cnn"] == "no difference"


def test_the_best_rate_is_that_of_validation():
    by_rate = {1e-2: [0.1, 0.1], 1e-3: [0.8, 0.9], 1e-4: [0.5, 0.6]}
    results = results_of("vgg7", "batch", by_rate)
    for result in results.values():
        for record in result["figures"]["trainings"]:
            record["selected"] = {1e-2: 0.1, 1e-3: 0.7, 1e-4: 0.8}[record["rate"]]
    records = accuracy.collected(results)
    assert accuracy.best(records, "vgg7", "batch") == [0.5, 0.6]
    assert accuracy.best(records, "vgg7", "none") == []


def test_a_training_without_any_epoch_counts_as_nothing_right():
    results = results_of("vgg7", "none", {rate: [None, 0.9] for rate in RATES}, failed=RATES)
    assert accuracy.best(accuracy.collected(results), "vgg7", "none") == [0.0, 0.9]
    assert "[2 failed]" in accuracy.details(results)


def test_nothing_measured():
    assert set(verdicts({}).values()) == {"not measured yet"}
    assert accuracy.details({}) == ""


def test_tables_and_pictures_of_a_part(tmp_path):
    results = network_results("vgg7", 0.9, 0.92, 0.93)
    table = accuracy.details(results)
    assert "| spectral | 90.0 ± 0.1 % (3 seeds) |" in table and "DenseNet" not in table
    accuracy.draw(results, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").stat().st_size > 1000
