"""The interpreter for microcontrollers in a process of its own.

    python -P _micro_runner.py MODEL ARENA_BYTES OUTPUTS SAMPLES.npz OUTPUTS.npz

Native code ends the process where the arena is too small for a tensor. The interpreter writes
what it cannot do, and how much of the arena it used, to the standard error file.
"""

import sys

import numpy as np


def main(model: str, arena_bytes: str, outputs: str, samples: str, made: str) -> None:
    """Runs the samples, and writes the outputs and what the interpreter used."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(model, arena_size=int(arena_bytes))
    with np.load(samples) as archive:
        arrays = [archive[name] for name in archive.files]
    rows = []
    for number in range(len(arrays[0])):
        for place, array in enumerate(arrays):
            interpreter.set_input(array[number : number + 1], place)
        interpreter.invoke()
        rows.append([interpreter.get_output(place) for place in range(int(outputs))])
    interpreter.print_allocations()
    np.savez(made, *(np.concatenate(column) for column in zip(*rows, strict=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
