"""LiteRT, formerly TensorFlow Lite."""

from pathlib import Path

import keras

from tfspecnorm.edge._conversion import to_litert
from tfspecnorm.edge._formats.format import Arrays, Format, Opened
from tfspecnorm.edge._interpreter import Interpreter
from tfspecnorm.edge._schema import contents_of
from tfspecnorm.edge._signature import Input


def _write(
    model: keras.Model,
    inputs: list[Input],
    path: Path,
    quantize: str | None = None,
    samples: Arrays | None = None,
) -> None:
    path.write_bytes(to_litert(model, inputs, quantize, samples))


def open_file(path: Path, inputs: list[Input] | None = None, threads: int = 1) -> Opened:
    """A LiteRT file, which alone tells all about itself."""
    path.stat()
    # The interpreter checks the file, on whose offsets the contents rely.
    interpreter = Interpreter(path, threads)
    contents = contents_of(path.read_bytes())

    def run(samples: Arrays) -> Arrays:
        return interpreter.floating(interpreter.run(interpreter.quantized(samples)))

    return Opened(
        run,
        contents.operators,
        interpreter.inputs,
        interpreter.outputs,
        contents.activations,
        contents.parameters,
        contents.quantize,
        interpreter,
    )


FORMAT = Format(
    "LiteRT",
    ("tensorflow",),
    {
        "tensorflow": (
            ("ai_edge_litert.interpreter", "edge"),
            ("ai_edge_litert.schema_py_generated", "edge"),
        )
    },
    _write,
    open_file,
    quantizes=True,
)
