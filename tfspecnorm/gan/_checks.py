"""What a GAN wants of its arguments."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_boolean, is_number
from tfspecnorm.layers._listing import wrappers_in


def check_networks(generator: Any, discriminator: Any, latent_size: Any) -> int:
    """The length of a latent vector, or a `ValueError` if the networks do not fit together."""
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        known = isinstance(network, keras.Model) and network.built
        if not known or not _is_shape(getattr(network, "input_shape", None)):
            raise ValueError(
                f"Argument `{name}` must be a Functional or a built Sequential model of one "
                f"input. Received: {name}={network!r}"
            )
    if generator is discriminator:
        raise ValueError(
            "Argument `discriminator` must be another model than the generator. "
            f"Received: discriminator={discriminator!r}"
        )
    found = generator.input_shape[1:]
    if len(found) != 1 or found[0] is None:
        raise ValueError(
            "Argument `generator` must take vectors of a known length. Received: generator with "
            f"input_shape={generator.input_shape!r}"
        )
    if latent_size not in (None, found[0]):
        raise ValueError(
            "Argument `latent_size` must be the length of the generator's input, "
            f"{found[0]}, or `None`. Received: latent_size={latent_size!r}"
        )
    made, taken = generator.output_shape, discriminator.input_shape
    if not _is_shape(made) or not fits(made[1:], taken[1:]):
        raise ValueError(
            "Argument `discriminator` must take what the generator makes. Received: "
            f"discriminator with input_shape={taken!r}, generator with output_shape={made!r}"
        )
    return int(found[0])


def check_images(images: Any, shape: tuple[Any, ...]) -> None:
    """A `ValueError` if a batch is not one tensor of floats, images of a shape."""
    found = getattr(images, "shape", None)
    if found is None or not fits(tuple(found)[1:], shape):
        wanted = ", ".join(str(size) for size in ("batch", *shape))
        raise ValueError(
            f"Argument `x` must be images of the shape ({wanted}), as the discriminator takes "
            f"them. Received: x of shape {None if found is None else tuple(found)!r}"
        )
    dtype = keras.backend.standardize_dtype(images.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "Argument `x` must be images of a floating type, in the range of the generator's, such "
            f"as [-1, 1]. Received: x of type {dtype}"
        )


def check_no_weights(**weights: Any) -> None:
    """A `ValueError` that names the first argument that is not `None`."""
    for name, value in weights.items():
        if value is not None:
            raise ValueError(
                f"Argument `{name}` must be `None`: to a GAN all images count alike. "
                f"Received: {name}={value!r}"
            )


def check_measure_once(value: Any, discriminator: keras.Model) -> bool:
    """The value, or a `ValueError` if it is no Boolean, or there is nothing to measure."""
    value = check_boolean("measure_once", value)
    if value and not any(part.built for part in wrappers_in(discriminator)):
        raise ValueError(
            "Argument `measure_once` must be `False` for a discriminator without wrappers such as "
            f"`tfspecnorm.layers.SpectralNorm`. Received: measure_once={value!r}"
        )
    return value


def check_trainable(name: str, network: Any, compiled: frozenset[int]) -> None:
    """A `ValueError` if a network's trainable variables are not those at `compile`, by `id`."""
    found = {id(variable) for variable in network.trainable_variables}
    if found != compiled:
        raise ValueError(
            f"The trainable variables of the {name} must be those at `compile`; after a change of "
            "`trainable` call `compile` again, with new optimizers. Received: "
            f"{name} with {len(found)} trainable variables, {len(compiled)} at `compile`"
        )


def check_optimizers(generator_optimizer: Any, discriminator_optimizer: Any) -> tuple[Any, Any]:
    """The optimizers as objects, or a `ValueError`."""
    found = []
    for name, identifier in (
        ("generator_optimizer", generator_optimizer),
        ("discriminator_optimizer", discriminator_optimizer),
    ):
        try:
            found.append(keras.optimizers.get(identifier))
        except ValueError as error:
            raise ValueError(
                f"Argument `{name}` must be a Keras optimizer or the name of one. "
                f"Received: {name}={identifier!r}"
            ) from error
    if found[0] is found[1]:
        raise ValueError(
            "Argument `discriminator_optimizer` must be another object than the generator's: an "
            "optimizer has state for one network. Received: "
            f"discriminator_optimizer={discriminator_optimizer!r}"
        )
    return found[0], found[1]


def check_momentum(name: str, value: Any) -> float | None:
    """The value, or a `ValueError` that names the argument."""
    if value is None:
        return None
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(
            f"Argument `{name}` must be in [0, 1), or `None`. Received: {name}={value!r}"
        )
    return float(value)


def check_weight(name: str, value: Any) -> float:
    """The value, or a `ValueError` that names the argument."""
    if not is_number(value) or value < 0:
        raise ValueError(
            f"Argument `{name}` must be a finite number that is not negative. "
            f"Received: {name}={value!r}"
        )
    return float(value)


def fits(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Whether two shapes may be those of one tensor; `None` is any size."""
    return len(found) == len(wanted) and all(
        one is None or other is None or one == other
        for one, other in zip(found, wanted, strict=True)
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(size is None or size == int(size) for size in value)
