"""Small blocks written as keras-hub writes its own, for backends and versions without it."""

import keras
import numpy as np
from keras import layers, ops

LENGTH, WIDTH, TOKENS = 6, 8, 20
registered = keras.saving.register_keras_serializable(package="blocks")


@registered
class BuiltLate(layers.Layer):
    """A transformer block whose layers are made and built in `build`."""

    def __init__(self, hidden=12, heads=2, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.heads = hidden, heads

    def build(self, input_shape):
        width = input_shape[-1]
        self._attention = layers.MultiHeadAttention(
            self.heads, width // self.heads, name="attention"
        )
        self._attention.build(input_shape, input_shape)
        self._norm = layers.LayerNormalization(name="norm")
        self._norm.build(input_shape)
        self._up = layers.Dense(self.hidden, activation="relu", name="up")
        self._up.build(input_shape)
        self._down = layers.Dense(width, name="down")
        self._down.build((*input_shape[:-1], self.hidden))
        self.built = True

    def call(self, inputs, training=None):
        inputs = inputs + self._attention(inputs, inputs, training=training)
        return inputs + self._down(self._up(self._norm(inputs)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "heads": self.heads}


@registered
class WithoutBuild(layers.Layer):
    """The same with layers from `__init__`; as in T5, the first call builds them.

    Keras cannot load it as part of a plain model, only as part of a class that makes it anew.
    """

    def __init__(self, width=WIDTH, hidden=12, heads=2, **kwargs):
        super().__init__(**kwargs)
        self.width, self.hidden, self.heads = width, hidden, heads
        self.attention = layers.MultiHeadAttention(heads, width // heads, name="attention")
        self.norm = layers.LayerNormalization(name="norm")
        self.up = layers.Dense(hidden, activation="relu", name="up")
        self.down = layers.Dense(width, name="down")

    def call(self, inputs, training=None):
        inputs = inputs + self.attention(inputs, inputs, training=training)
        return inputs + self.down(self.up(self.norm(inputs)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        sizes = {"width": self.width, "hidden": self.hidden, "heads": self.heads}
        return {**super().get_config(), **sizes}


@registered
class BuiltEarly(WithoutBuild):
    """The same with a `build`."""

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)
        self.norm.build(input_shape)
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.hidden))
        self.built = True


@registered
class Listed(layers.Layer):
    """A block that holds a list of layers, of blocks among them."""

    def __init__(self, units=(5, WIDTH), **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.stack = [layers.Dense(size, activation="tanh") for size in self.units]
        self.stack.append(BuiltLate())

    def build(self, input_shape):
        for layer in self.stack:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs):
        for layer in self.stack:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@registered
class Tokens(layers.Layer):
    """Tokens and positions; `reverse` multiplies with the transposed token table, which is tied."""

    def __init__(self, tokens=TOKENS, length=LENGTH, width=WIDTH, **kwargs):
        super().__init__(**kwargs)
        self.tokens, self.length, self.width = tokens, length, width
        self.token_embedding = layers.Embedding(tokens, width, name="token_embedding")

    def build(self, input_shape):
        self.token_embedding.build(input_shape)
        self.positions = self.add_weight(
            shape=(self.length, self.width), initializer="glorot_uniform", name="embeddings"
        )
        self.built = True

    def call(self, inputs, reverse=False):
        table = self.token_embedding.embeddings
        if reverse:
            return ops.matmul(inputs, ops.transpose(ops.cast(table, inputs.dtype)))
        return self.token_embedding(inputs) + self.positions[: inputs.shape[1]]

    def get_config(self):
        sizes = {"tokens": self.tokens, "length": self.length, "width": self.width}
        return {**super().get_config(), **sizes}


class _LayersFirst(keras.Model):
    """A model that has its layers before it calls the constructor of `keras.Model`.

    PyTorch refuses modules that early; keras-hub goes around it in this way.
    """

    def __setattr__(self, name, value):
        if keras.backend.backend() == "torch" and not hasattr(self, "_initialized"):
            return object.__setattr__(self, name, value)
        return super().__setattr__(name, value)


@registered
class Backbone(_LayersFirst):
    """A Functional model whose constructor takes sizes."""

    def __init__(self, blocks=2, width=WIDTH, building=True, **kwargs):
        block_class = BuiltLate if building else WithoutBuild
        self.token_embedding = Tokens(width=width, name="token_embedding")
        self.transformer_layers = [block_class(name=f"block_{index}") for index in range(blocks)]
        tokens = keras.Input((LENGTH,), dtype="int32", name="token_ids")
        outputs = self.token_embedding(tokens)
        for block in self.transformer_layers:
            outputs = block(outputs)
        super().__init__(tokens, outputs, **kwargs)
        self.blocks, self.width, self.building = blocks, width, building

    def get_config(self):
        sizes = {"blocks": self.blocks, "width": self.width, "building": self.building}
        return {**sizes, "name": self.name}


class _OfBackbone(_LayersFirst):
    """What tasks have in common: the backbone in their configuration."""

    def get_config(self):
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return {"backbone": backbone, "name": self.name}

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})


@registered
class Classifier(_OfBackbone):
    """A task: a Functional model around a backbone."""

    def __init__(self, backbone, classes=3, **kwargs):
        self.backbone = backbone
        self.logits = layers.Dense(classes, name="logits")
        hidden = backbone(backbone.input)[:, 0]
        super().__init__(backbone.input, self.logits(hidden), **kwargs)
        self.classes = classes

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@registered
class LanguageModel(_OfBackbone):
    """A task with a tied head, and a method that calls the layers of the backbone itself."""

    def __init__(self, backbone, **kwargs):
        self.backbone = backbone
        hidden = backbone(backbone.input)
        outputs = backbone.token_embedding(hidden, reverse=True)
        super().__init__(backbone.input, outputs, **kwargs)

    def generate(self, tokens):
        hidden = self.backbone.token_embedding(tokens)
        for block in self.backbone.transformer_layers:
            hidden = block(hidden)
        return ops.argmax(self.backbone.token_embedding(hidden, reverse=True), axis=-1)


@registered
class Net(keras.Model):
    """A subclassed model with its layers in `__init__`, a loss and a method of its own."""

    def __init__(self, hidden=5, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.first = layers.Dense(hidden, activation="relu", name="first")
        self.block = BuiltEarly(hidden * 2, heads=2, name="block")
        self.widen = layers.Dense(hidden * 2, name="widen")
        self.last = layers.Dense(3, name="last")

    def build(self, input_shape):
        # The call builds what the model holds.
        self.call(keras.ops.zeros((1, *input_shape[1:])))
        self.built = True

    def features(self, inputs):
        return self.block(self.widen(self.first(inputs)))

    def call(self, inputs):
        return self.last(self.features(inputs))

    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)

    def generate(self, inputs):
        return ops.argmax(self(inputs), axis=-1)

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@registered
class PixelAttention(layers.Layer):
    """BigGAN's attention: 1×1 convolutions made in `__init__`, and a scalar gate."""

    def __init__(self, channels=8, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.query, self.key = (
            layers.Conv2D(channels // 4, 1, use_bias=False, name=name) for name in ("query", "key")
        )
        self.value = layers.Conv2D(channels // 2, 1, use_bias=False, name="value")
        self.output_projection = layers.Conv2D(channels, 1, use_bias=False, name="output")

    def build(self, input_shape):
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.output_projection.build((*input_shape[:-1], self.channels // 2))
        self.gate = self.add_weight(shape=(), initializer="ones", name="gate")
        self.built = True

    def call(self, inputs):
        size = inputs.shape[1] * inputs.shape[2]
        query, key, value = (
            ops.reshape(layer(inputs), (-1, size, layer.filters))
            for layer in (self.query, self.key, self.value)
        )
        weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))))
        mixed = ops.reshape(ops.matmul(weights, value), (-1, *inputs.shape[1:-1], value.shape[-1]))
        return inputs + self.gate * self.output_projection(mixed)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


@registered
class CausalBlock(layers.Layer):
    """A block of a temporal convolutional network: two dilated convolutions and a shortcut."""

    def __init__(self, filters=4, dilation=2, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.dilation = filters, dilation
        self.first, self.second = (
            layers.Conv1D(
                *(filters, 3),
                padding="causal",
                dilation_rate=dilation,
                activation="relu",
                name=name,
            )
            for name in ("first", "second")
        )
        self.shortcut = layers.Conv1D(filters, 1, name="shortcut")

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], self.filters))
        self.shortcut.build(input_shape)
        self.built = True

    def call(self, inputs):
        return ops.relu(self.second(self.first(inputs)) + self.shortcut(inputs))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "dilation": self.dilation}


def _around(layer, *shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def _net():
    model = Net(name="net")
    model.build((None, LENGTH, 7))
    return model


# A plain model around each block, and the models of classes of their own.
MODELS = {
    "built-late": lambda: _around(BuiltLate(), LENGTH, WIDTH),
    "built-early": lambda: _around(BuiltEarly(), LENGTH, WIDTH),
    "without-build": lambda: Backbone(building=False),
    "listed": lambda: _around(Listed(), LENGTH, WIDTH),
    "pixel-attention": lambda: _around(PixelAttention(), 4, 5, 8),
    "causal": lambda: _around(CausalBlock(), 7, 3),
    "backbone": Backbone,
    "classifier": lambda: Classifier(Backbone()),
    "language-model": lambda: LanguageModel(Backbone()),
    "net": _net,
}


def batch(name, size=4):
    """Inputs for a model of `MODELS`."""
    random = np.random.default_rng(0)
    if name in ("backbone", "without-build", "classifier", "language-model"):
        return random.integers(0, TOKENS, (size, LENGTH)).astype("int32")
    shape = {"pixel-attention": (4, 5, 8), "causal": (7, 3), "net": (LENGTH, 7)}
    return random.normal(size=(size, *shape.get(name, (LENGTH, WIDTH)))).astype("float32")
