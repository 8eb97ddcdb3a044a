"""Folds a model, writes it for a device, and compares that file with the model."""

import argparse
from pathlib import Path

from tfspecnorm._commands import common, inspect
from tfspecnorm.edge import export

HELP = "write a model for a device (.tflite, .onnx, .keras, or a SavedModel)"
_ARRAYS = "samples as array x (or one named as each input)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the words of the command."""
    common.add_model(parser)
    parser.add_argument("output", type=Path, help="file to write; its ending chooses the format")
    parser.add_argument(
        "--quantize", choices=("float16", "dynamic", "int8"), help="for .tflite (default: float32)"
    )
    parser.add_argument("--calibration", type=Path, metavar="FILE.npz", help=f"for int8: {_ARRAYS}")
    parser.add_argument(
        "--evaluate",
        type=Path,
        metavar="FILE.npz",
        help=f"what to compare on: {_ARRAYS}, and labels as y",
    )
    parser.add_argument(
        "--keep-batch-norm",
        action="store_true",
        help="do not fold batch normalizations that directly follow a layer",
    )
    common.add_input_shape(parser)
    inspect.add_measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Does what the command says."""
    model = common.load(options.model, options.trust)
    calibration, evaluation = (
        None if path is None else common.load_arrays(path)
        for path in (options.calibration, options.evaluate)
    )
    report = export(
        model,
        options.output,
        quantize=options.quantize,
        calibration=calibration,
        evaluation=evaluation,
        batch_norm=not options.keep_batch_norm,
        input_shape=options.input_shape,
        **inspect.measuring(options),
    )
    inspect.print_report(report, options)
