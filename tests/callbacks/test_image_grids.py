"""The picture of generated images: its pixels, its file, and when it is written."""

import struct
import zlib

import keras
import numpy as np
import pytest

from tests.callbacks.training import fit, small_model
from tfspecnorm import callbacks
from tfspecnorm.callbacks import ImageGrid, image_grid, write_png


def images_of(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


class Noise:
    """A generator that remembers how it was called."""

    def __init__(self, shape=(3, 5, 3)):
        self.shape, self.calls = shape, []

    def __call__(self, count, seed=None):
        self.calls.append((count, seed))
        return images_of(count, *self.shape, seed=seed)


def read_png(path):
    """The pixels of a PNG file without filters, by what the standard says of its parts."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    parts, position = {}, 8
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kind, data = content[position + 4 : position + 8], content[position + 8 :][:length]
        (check,) = struct.unpack(">I", content[position + 8 + length :][:4])
        assert check == zlib.crc32(kind + data)
        parts[kind] = data
        position += 12 + length
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), "uint8").reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


def test_every_image_has_its_place():
    images = images_of(7, 4, 5, 3)
    grid = image_grid(images, 3)
    assert grid.shape == (12, 15, 3) and grid.dtype == "uint8"
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        cell = grid[4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
        np.testing.assert_allclose(cell, (image + 1) * 127.5, atol=0.5 + 1e-9)
    assert not grid[8:, 5:].any()


def test_levels():
    values = [-1.0, 1.0, -3.0, 3.0, np.nan, np.inf, -np.inf, 0.5]
    grid = image_grid(np.array(values, "float32").reshape(8, 1, 1, 1), 8)
    assert grid.ravel().tolist() == [0, 255, 0, 255, 0, 255, 0, 191]


@pytest.mark.parametrize("channels", [1, 3])
def test_file_has_the_pixels(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 256, (7, 11, channels)).astype("uint8")
    write_png(tmp_path / "picture.png", image)
    assert np.array_equal(read_png(tmp_path / "picture.png"), image)
    image_module = pytest.importorskip("PIL.Image")
    with image_module.open(tmp_path / "picture.png") as picture:
        assert np.array_equal(np.asarray(picture).reshape(image.shape), image)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), "uint8"), np.zeros((4, 4, 2), "uint8")]
)
def test_what_is_no_picture(tmp_path, image):
    with pytest.raises(ValueError, match="`image` must be a uint8 array.*Received: shape"):
        write_png(tmp_path / "picture.png", image)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_after_epochs_from_the_same_latent_vectors(tmp_path):
    noise = Noise()
    grid = ImageGrid(
        tmp_path / "{epoch:03d}.png", rows=2, columns=4, every=2, seed=7, generate=noise
    )
    fit(small_model(), grid, epochs=5)
    assert sorted(part.name for part in tmp_path.iterdir()) == ["002.png", "004.png"]
    assert noise.calls == [(2, 7)] + [(8, 7)] * 2
    expected = image_grid(images_of(8, 3, 5, 3, seed=7), 4)
    assert np.array_equal(read_png(tmp_path / "004.png"), expected)


def test_one_file_is_replaced(tmp_path):
    grid = ImageGrid(str(tmp_path / "grid.png"), rows=1, columns=1, generate=Noise((2, 2, 1)))
    fit(small_model(), grid, epochs=2)
    assert [part.name for part in tmp_path.iterdir()] == ["grid.png"]
    assert read_png(tmp_path / "grid.png").shape == (2, 2, 1)


class Brightness(keras.Sequential):
    """Its images are as bright as its bias, which training moves."""

    def generate(self, count, seed=None):
        (bias,) = keras.ops.convert_to_numpy(self.layers[0].bias)
        return np.full((count, 1, 1, 1), bias)


def brightness():
    model = Brightness([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def test_the_model_as_it_is_at_the_end_of_the_epoch(tmp_path):
    """Inputs of 0, so that one step moves the bias halfway to the target and the next one on."""
    model = brightness()
    model.optimizer.learning_rate = 0.25
    data = np.zeros((4, 1)), np.full((4, 1), 0.8)
    grid = ImageGrid(tmp_path / "{epoch}.png", rows=1, columns=1)
    model.fit(*data, epochs=3, verbose=0, callbacks=[grid])
    for epoch, bias in enumerate([0.4, 0.6, 0.7], start=1):
        (level,) = read_png(tmp_path / f"{epoch}.png").ravel()
        assert level == round((bias + 1) * 127.5)


def test_failure_keeps_the_picture_before(tmp_path, monkeypatch):
    path = tmp_path / "grid.png"
    grid = ImageGrid(path, rows=1, columns=1, generate=Noise())
    fit(small_model(), grid, epochs=1)
    before, write_bytes = path.read_bytes(), type(path).write_bytes

    def full_disk(self, content):
        write_bytes(self, content[: len(content) // 2])
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space left"):
        fit(small_model(), grid, epochs=1)
    assert path.read_bytes() == before
    assert [part.name for part in tmp_path.iterdir()] == ["grid.png"]


def test_model_that_generates_nothing(tmp_path):
    with pytest.raises(ValueError, match="`ImageGrid` needs a model.*generate.*Received: model"):
        fit(small_model(), ImageGrid(tmp_path / "grid.png"))


def test_wrong_number_of_images(tmp_path):
    grid = ImageGrid(tmp_path / "grid.png", generate=lambda count, seed: np.zeros((3, 4, 4, 1)))
    with pytest.raises(ValueError, match=r"must return 2 images.*shape \(3, 4, 4, 1\)"):
        fit(small_model(), grid)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 2)), r"images of 1 or 3 channels. Received.*\(2, 4, 4, 2\)"),
        (np.zeros((2, 4, 4, 3), "uint8"), "must return 2 images of floats.*of type uint8"),
        (np.zeros((2, 0, 4, 3)), r"must return 2 images.*shape \(2, 0, 4, 3\)"),
    ],
)
def test_wrong_images_are_found_before_training(tmp_path, images, message):
    """Long before the fifth epoch, after which there would be a picture."""
    model = small_model()
    grid = ImageGrid(tmp_path / "grid.png", every=5, generate=lambda count, seed: images)
    with pytest.raises(ValueError, match=message):
        fit(model, grid, epochs=5)
    assert int(model.optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "none/grid.png"}, FileNotFoundError, "`path` must be.*Received: path="),
        ({"path": "none/{epoch}/grid.png"}, FileNotFoundError, "`path` must be"),
        ({"path": "grid.jpg"}, ValueError, "`path` must end in .png"),
        ({"path": "{step}.png"}, ValueError, "`path` must have no braces.*Received: path="),
        ({"path": "{epoch.png"}, ValueError, "`path` must have no braces"),
        ({"path": "{}.png"}, ValueError, "`path` must have no braces"),
        ({"rows": 0}, ValueError, "`rows` must be a positive integer"),
        ({"columns": 2.0}, ValueError, "`columns` must be a positive integer"),
        ({"every": "epoch"}, ValueError, "`every` must be a positive integer"),
        ({"seed": None}, ValueError, "`seed` must be an integer"),
        ({"generate": 3}, ValueError, "`generate` must be a function"),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ImageGrid(**({"path": "grid.png"} | arguments))


@pytest.mark.parametrize("images", [np.zeros((4, 4, 3)), np.zeros((0, 4, 4, 3)), None])
def test_images_that_are_refused(images):
    with pytest.raises(ValueError, match="`images` must be a float array.*Received: shape"):
        callbacks.image_grid(images, 2)
