"""Training batches that depend on the seed and their number alone."""

import tensorflow as tf

from common.command import UsageError
from common.datasets import Images

LARGEST_SHIFT = 2


def steps_per_epoch(images: Images, batch_size: int) -> int:
    """Number of full batches in the training images."""
    steps = len(images.train_images) // batch_size
    if not steps:
        raise UsageError(
            f"argument --batch-size: must be at most {len(images.train_images)}, the number of "
            f"training images. Received: {batch_size}"
        )
    return steps


def training_batches(
    images: Images, batch_size: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Shuffled, shifted, standardized batches of the epochs from `first_epoch` on.

    Nothing here has a state: the batches of a resumed run are those that the uninterrupted run
    would have seen. Images are moved by up to two pixels each way, and mirrored where the
    data set allows it. What does not fill a batch is left out, other images in each epoch.

    Args:
        images: The data.
        batch_size: Number of images in a batch.
        seed: Seed of the order, the shifts and the mirroring.
        first_epoch: Number of finished epochs.
        epochs: Number of epochs of the whole training.

    Returns:
        Dataset of `(images, labels)`.
    """
    steps = steps_per_epoch(images, batch_size)
    pixels, labels = tf.constant(images.train_images), tf.constant(images.train_labels)
    mean, deviation = images.mean, images.deviation

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, step = number // steps, number % steps
        positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        chosen = tf.random.experimental.index_shuffle(
            positions, (seed, epoch), len(images.train_images) - 1
        )
        chosen_images = _shifted(tf.gather(pixels, chosen), (seed, number))
        if images.mirrored:
            chosen_images = _mirrored(chosen_images, (seed, number))
        standardized = (tf.cast(chosen_images, tf.float32) - mean) / deviation
        return standardized, tf.gather(labels, chosen)

    numbers = tf.data.Dataset.range(first_epoch * steps, epochs * steps)
    return numbers.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)


def _shifted(images: tf.Tensor, seed: tuple) -> tf.Tensor:
    """Every image moved by its own random number of pixels, what comes in is black."""
    count, size = tf.shape(images)[0], tf.shape(images)[1]
    border = [LARGEST_SHIFT, LARGEST_SHIFT]
    images = tf.pad(images, [[0, 0], border, border, [0, 0]])
    starts = tf.random.stateless_uniform(
        (2, count, 1), seed, maxval=2 * LARGEST_SHIFT + 1, dtype=tf.int32
    )
    rows, columns = tf.unstack(starts + tf.range(size))
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _mirrored(images: tf.Tensor, seed: tuple) -> tf.Tensor:
    """Every second image, by chance, from right to left."""
    chance = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed)
    return tf.where(chance < 0.5, images, tf.reverse(images, axis=[2]))
