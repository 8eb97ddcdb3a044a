"""Models that were trained in half precision, as files for devices want them."""

import keras


def in_float32(model: keras.Model) -> keras.Model:
    """The model with layers that compute in float32, or itself if all do.

    With another policy each layer would reach the file between two casts.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def remade(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    made = keras.models.clone_model(model, clone_function=remade)
    made.set_weights(model.get_weights())
    return made
