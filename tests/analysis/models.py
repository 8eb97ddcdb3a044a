"""Models that Keras accepts, ordinary and odd, for what must never fail."""

import keras
import numpy as np
from keras import layers, ops

import tfspecnorm


def model_of(function, *shapes, **options):
    inputs = [keras.Input(shape, **options) for shape in shapes]
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, function(*inputs))


class OneModel(keras.Model):
    """A subclass with a `call` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(3, name="first"), layers.Dense(2, name="second")

    def call(self, inputs):
        return self.second(self.first(inputs))


class OfDicts(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)
        self.token = self.add_weight(shape=(1, 3), name="token")

    def call(self, inputs):
        return {"sum": self.dense(inputs["left"] + self.token) + self.dense(inputs["right"])}


class FunctionalClass(keras.Model):
    """A Functional model under a name of its own."""

    def __init__(self):
        inputs = keras.Input((3,))
        super().__init__(inputs, layers.Dense(2)(inputs))


class Wrapping(layers.Layer):
    """Makes a wrapper in its own code, which no rebuilt model can be without."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = tfspecnorm.layers.SpectralNorm(layers.Dense(3))

    def build(self, input_shape):
        self.inside.build(input_shape)

    def call(self, inputs):
        return self.inside(inputs)


class Projected(layers.Layer):
    """A matrix without a description, and an option."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 4), name="matrix")

    def call(self, inputs, other=None, scale=1.0):
        return scale * ops.matmul(inputs, self.matrix)


def called(model, inputs):
    model(inputs)
    return model


def of_dicts():
    vector = np.ones((1, 3), "float32")
    return called(OfDicts(), {"left": vector, "right": vector})


def named_inputs():
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    outputs = {"sum": left + right, "others": [layers.Dense(2)(left), right]}
    return keras.Model({"left": left, "right": right}, outputs)


def shared():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
    return model_of(lambda x: inner(inner(x)), (3,))


def quantized():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.layers[0].quantize("int8")
    return model


def with_lora():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.layers[0].enable_lora(2)
    return model


def _attention(x):
    return layers.MultiHeadAttention(2, 3)(x, x, x, use_causal_mask=True)


def _of_steps(x):
    x, *states = layers.Bidirectional(layers.GRU(3, return_sequences=True, return_state=True))(x)
    return [layers.TimeDistributed(keras.Sequential([layers.Dense(3)]))(x), states]


def _of_tokens(x):
    x = layers.Embedding(10, 4, mask_zero=True)(x)
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(x))


def _of_images(x):
    x = layers.RandomFlip()(layers.CenterCrop(6, 6)(layers.Rescaling(1 / 255)(x)))
    return layers.Flatten()(layers.Conv2D(2, 3, activation="relu")(layers.Resizing(4, 4)(x)))


def _many_operations(x):
    left, right = ops.split(x, 2, axis=-1)
    joined = ops.stack([left, ops.where(left > 0, left, right)], axis=1)
    mixed = ops.einsum("bijk,bijk->bij", joined, joined)
    return ops.top_k(ops.exp(mixed), 2), ops.argmax(mixed, axis=-1), ops.cumsum(mixed, axis=1)


MODELS = {
    "own": lambda: called(OneModel(), np.ones((1, 3), "float32")),
    "own with dicts": of_dicts,
    "own inside": lambda: model_of(lambda x: layers.Dense(2)(OneModel()(x)), (3,)),
    "functional class": FunctionalClass,
    "named": named_inputs,
    "several inputs": lambda: model_of(lambda x, y: [x + y, x - y], (3,), (3,)),
    "shared": shared,
    "nothing done": lambda: model_of(lambda x: x, (3,)),
    "scalars": lambda: model_of(lambda x: layers.Dense(2)(layers.Reshape((1,))(x)), ()),
    "wrapping": lambda: model_of(lambda x: Wrapping()(x), (3,)),
    "wrapping and wrapped": lambda: model_of(
        lambda x: tfspecnorm.layers.SpectralNorm(layers.Dense(2))(Wrapping()(x)), (3,)
    ),
    "projected": lambda: model_of(lambda x: Projected()(x), (3,)),
    "an option": lambda: model_of(lambda x: Projected()(x, scale=2.0), (3,)),
    "a second input": lambda: model_of(lambda x: Projected()(x, other=x), (3,)),
    "attention": lambda: model_of(_attention, (4, 3)),
    "attention of a list": lambda: model_of(lambda x: layers.Attention()([x, x]), (4, 3)),
    "steps": lambda: model_of(_of_steps, (4, 3)),
    "masked steps": lambda: model_of(lambda x: layers.LSTM(2)(layers.Masking()(x)), (4, 3)),
    "tokens": lambda: model_of(_of_tokens, (5,), dtype="int32"),
    "categories": lambda: model_of(lambda x: layers.CategoryEncoding(5)(x), (3,), dtype="int32"),
    "images": lambda: model_of(_of_images, (8, 8, 3)),
    "images of any size": lambda: model_of(
        lambda x: layers.Conv2D(3, 3, padding="same")(x) + ops.mean(x, axis=(1, 2), keepdims=True),
        (None, None, 3),
    ),
    "lambda": lambda: model_of(lambda x: layers.Lambda(lambda y: 2 * y)(x), (3,)),
    "operations": lambda: model_of(_many_operations, (4, 6)),
    "whole numbers": lambda: model_of(lambda x: x + 1, (3,), dtype="int32"),
    "a step of any length": lambda: model_of(lambda x: x[:, 50], (None, 3)),
    "a fixed batch": lambda: (lambda x: keras.Model(x, ops.reshape(x, (2, 12))))(
        keras.Input(batch_shape=(2, 3, 4))
    ),
    "quantized": quantized,
    "with LoRA": with_lora,
    "half precision": lambda: model_of(lambda x: layers.Dense(3, dtype="mixed_float16")(x), (4,)),
    "Keras' own wrapper": lambda: model_of(
        lambda x: layers.SpectralNormalization(layers.Dense(3))(x), (4,)
    ),
}
