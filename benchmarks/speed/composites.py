"""Compare ways to normalize a Transformer whose blocks are layers of their own class.

    python -m benchmarks.speed.composites --rounds 60 --calls 2

The network is the Transformer of `networks.py`. Its layers are wrapped one by one in the code of
the block, as a whole by one wrapper around each block, or by `tfspecnorm.wrap`, which attaches
wrappers to the layers of a finished model. Prints the ratios of a training step to the
un-normalized network and to the layers wrapped one by one.
"""

from collections.abc import Callable
from typing import Any

import keras

import tfspecnorm
from benchmarks.speed import measure, networks, pairing, project
from tfspecnorm.layers import SpectralNorm

ONE_BY_ONE = "one by one"


@keras.saving.register_keras_serializable("benchmarks")
class Block(keras.layers.Layer):
    """A block of `networks.transformer`.

    Args:
        wrap: Function from a dense layer to its wrapper, or `None` for plain layers.
    """

    def __init__(self, wrap: Callable[[Any], Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        wrap = wrap or project.plain
        self.before, self.between = (keras.layers.LayerNormalization() for _ in range(2))
        self.query, self.key, self.value, self.out = (
            wrap(keras.layers.Dense(networks.WIDTH)) for _ in range(4)
        )
        self.attention = keras.layers.Attention()
        self.up = wrap(keras.layers.Dense(4 * networks.WIDTH))
        self.down = wrap(keras.layers.Dense(networks.WIDTH))

    def build(self, input_shape: Any) -> None:
        for layer in (
            self.before,
            self.between,
            self.query,
            self.key,
            self.value,
            self.out,
            self.up,
        ):
            layer.build(input_shape)
        self.down.build((*input_shape[:-1], 4 * networks.WIDTH))

    def call(self, x: Any) -> Any:
        y = self.before(x)
        x = x + self.out(self.attention([self.query(y), self.value(y), self.key(y)]))
        return x + self.down(keras.ops.relu(self.up(self.between(x))))


def transformer(block: Callable[[], Any], wrap: Callable[[Any], Any]) -> keras.Model:
    """The network of such blocks, with a wrapper around its head."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(networks.input_shape("transformer"))
    for _ in range(networks.BLOCKS):
        x = block()(x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, wrap(keras.layers.Dense(networks.CLASSES))(x))


CONTENDERS: dict[str, Callable[[], keras.Model]] = {
    measure.BASELINE: lambda: transformer(Block, project.plain),
    ONE_BY_ONE: lambda: transformer(lambda: Block(SpectralNorm), SpectralNorm),
    "whole blocks": lambda: transformer(lambda: SpectralNorm(Block()), SpectralNorm),
    "attached": lambda: tfspecnorm.wrap(transformer(Block, project.plain), SpectralNorm),
}


def main() -> None:
    options = measure.parser("composites", __doc__, network=False).parse_args()
    measure.print_header("composites", options)
    steps = {
        name: project.training_step(make(), "transformer", options.batch, options.compile)
        for name, make in CONTENDERS.items()
    }
    measure.warm_up(steps)
    times = pairing.interleaved(steps, options.rounds, options.calls, options.seed)
    figures = {
        f"over {base}": pairing.compared(times, base) for base in (measure.BASELINE, ONE_BY_ONE)
    }
    for title in figures:
        measure.report(figures, title)
    measure.store(options, figures)


if __name__ == "__main__":
    main()
