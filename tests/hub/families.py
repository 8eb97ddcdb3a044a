"""Small random members of the model families of keras-hub and `keras.applications`."""

from collections.abc import Callable
from typing import Any

import keras
import keras_hub.models as hub
import numpy as np

# Not exported: keras-hub's diffusion models hold it.
from keras_hub.src.models.vae.vae_backbone import VAEBackbone

VOCABULARY, LENGTH = 20, 6
IMAGE = (32, 32, 3)

# Every size differs from the others, so that a shape tells a matrix's axes.
_TEXT = dict(vocabulary_size=VOCABULARY, num_layers=2, hidden_dim=8, intermediate_dim=12)
_HEADS = _TEXT | dict(num_heads=2)
_POSITIONS = _HEADS | dict(max_sequence_length=LENGTH)
_GROUPS = _TEXT | dict(num_query_heads=4, num_key_value_heads=2)
_PATCHES = dict(image_shape=IMAGE, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8)

BACKBONES: dict[str, Callable[[], keras.Model]] = {
    "BERT": lambda: hub.BertBackbone(**_POSITIONS),
    "DistilBERT": lambda: hub.DistilBertBackbone(**_POSITIONS),
    "RoBERTa": lambda: hub.RobertaBackbone(**_POSITIONS),
    "GPT-2": lambda: hub.GPT2Backbone(**_POSITIONS),
    "T5": lambda: hub.T5Backbone(**_HEADS),
    "Gemma": lambda: hub.GemmaBackbone(**_GROUPS, head_dim=4),
    "Llama": lambda: hub.LlamaBackbone(**_GROUPS),
    "Mistral": lambda: hub.MistralBackbone(**_GROUPS),
    "ViT": lambda: hub.ViTBackbone(**_PATCHES, mlp_dim=12),
    "DeiT": lambda: hub.DeiTBackbone(**_PATCHES, intermediate_dim=12),
    "ResNet": lambda: hub.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 72],
        stackwise_num_blocks=[1, 2],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=IMAGE,
    ),
    "EfficientNet": lambda: hub.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 3,
        stackwise_depth_coefficients=[1.0] * 3,
        stackwise_kernel_sizes=[3, 5, 3],
        stackwise_num_repeats=[1, 2, 1],
        stackwise_input_filters=[8, 8, 16],
        stackwise_output_filters=[8, 16, 24],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25, 0.25],
        stackwise_strides=[1, 2, 2],
        stackwise_block_types=["fused", "unfused", "v1"],
        stackwise_force_input_filters=[0] * 3,
        stackwise_nores_option=[False] * 3,
        input_shape=IMAGE,
    ),
    "Whisper": lambda: hub.WhisperBackbone(
        **_HEADS, num_mels=10, max_encoder_sequence_length=16, max_decoder_sequence_length=LENGTH
    ),
    "MiT": lambda: hub.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[8, 16],
        image_shape=IMAGE,
    ),
    # Its group normalizations have 32 groups.
    "VAE": lambda: VAEBackbone(
        encoder_num_filters=[32, 64],
        encoder_num_blocks=[1, 1],
        decoder_num_filters=[64, 32],
        decoder_num_blocks=[1, 1],
        sampler_method="mode",
        sample_channels=8,
    ),
}

TASKS: dict[str, Callable[[], keras.Model]] = {
    "BertTextClassifier": lambda: hub.BertTextClassifier(
        BACKBONES["BERT"](), num_classes=3, preprocessor=None
    ),
    "GPT2CausalLM": lambda: hub.GPT2CausalLM(BACKBONES["GPT-2"](), preprocessor=None),
    "ResNetImageClassifier": lambda: hub.ResNetImageClassifier(
        BACKBONES["ResNet"](), num_classes=3, preprocessor=None
    ),
}


def _application(name: str, size: int = 32, **kwargs: Any) -> Callable[[], keras.Model]:
    make = getattr(keras.applications, name)
    return lambda: make(input_shape=(size, size, 3), weights=None, classes=3, **kwargs)


APPLICATIONS: dict[str, Callable[[], keras.Model]] = {
    name: _application(name, size)
    for name, size in {
        "ConvNeXtTiny": 32,
        "DenseNet121": 32,
        "EfficientNetB0": 32,
        "EfficientNetV2B0": 32,
        "InceptionResNetV2": 75,
        "InceptionV3": 75,
        "MobileNet": 32,
        "MobileNetV2": 32,
        "MobileNetV3Small": 32,
        "NASNetMobile": 32,
        "ResNet50": 32,
        "ResNet50V2": 32,
        "VGG16": 32,
        "Xception": 71,
    }.items()
}

FAMILIES = BACKBONES | TASKS | APPLICATIONS


def batch(model: keras.Model, size: int = 4) -> Any:
    """Inputs for a model: tokens, masks that hide nothing, and pixels."""
    random = np.random.default_rng(0)

    def value(given: keras.KerasTensor) -> np.ndarray:
        shape = (size, *(LENGTH if axis is None else axis for axis in given.shape[1:]))
        if "mask" in given.name:
            return np.ones(shape, "int32")
        if "segment" in given.name:
            return np.zeros(shape, "int32")
        if "int" in given.dtype:
            return random.integers(1, VOCABULARY, shape).astype("int32")
        return random.uniform(size=shape).astype("float32")

    return keras.tree.map_structure(value, model.input)


def compile_for_training(model: keras.Model, run_eagerly: bool = False) -> Any:
    """Compiles a model with a loss, for a task that of its class, and returns targets."""
    outputs = model(batch(model))
    # Keras cannot load the state of another optimizer into a task, which compiles itself. And a
    # larger step makes batch normalization of few images overflow.
    optimizer = keras.optimizers.SGD(1e-4)
    if isinstance(model, hub.Task):
        model.compile(optimizer, run_eagerly=run_eagerly)
        return np.zeros(outputs.shape[:-1], "int32")
    model.compile(optimizer, "mse", run_eagerly=run_eagerly)
    return keras.tree.map_structure(lambda part: np.zeros(part.shape, "float32"), outputs)
