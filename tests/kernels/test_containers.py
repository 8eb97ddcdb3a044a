"""Where a walk meets the layers in a layer, and what it calls them."""

import keras
from keras import layers

from tfspecnorm.kernels.containers import layers_in, parts_of, unique_names, walk


class Block(layers.Layer):
    def __init__(self):
        super().__init__(name="block")
        self.attention = layers.MultiHeadAttention(2, 3, name="other_name")
        self.parts = [layers.Dense(2, name="first")]
        self.up = layers.Dense(2, name="up_projection")
        # In the list it comes behind what was there earlier.
        self.parts.append(layers.Dense(2, name="last"))

    def build(self, input_shape):
        """Not of interest here."""

    def call(self, inputs):
        return inputs


def model_of(block):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, block], name="outer")


def test_names_are_those_of_attributes_and_in_models_those_of_layers():
    block = Block()
    model = keras.Sequential([layers.Dense(3, name="head"), block])
    assert [name for name, _ in parts_of(model)] == ["head", "block"]
    found = parts_of(block)
    assert {name for name, _ in found} == {"attention", "parts/0", "parts/1", "up"}
    assert dict(found)["parts/1"].name == "last"
    paths = ["/".join(place.path) for place in walk(model)]
    assert {"head", "block", "block/attention", "block/up"} <= set(paths)


def test_a_unit_is_met_and_what_it_holds_is_not():
    model = model_of(Block())
    places = list(walk(model, lambda layer: isinstance(layer, layers.MultiHeadAttention)))
    (unit,) = [place for place in places if place.is_unit]
    assert unit.path == ("block", "attention")
    assert [layer.name for layer in unit.around] == ["block"]
    assert not any("attention" in place.path[:-1] for place in places)


def test_layers_in_are_met_once_and_outer_ones_first():
    block = Block()
    block.again = block.up
    found = layers_in(block)
    assert found[0] is block
    assert len({id(layer) for layer in found}) == len(found)
    assert found.count(block.up) == 1


def test_names_that_are_taken_twice():
    found = [("a", ()), ("b", ("x",)), ("b", ("y",)), ("b", ("y",))]
    assert unique_names(found) == ["a", "x/b", "y/b", "y/b_2"]
