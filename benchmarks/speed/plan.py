"""The runs that `make bench` makes: which script, in which environment, with which options."""

from typing import NamedTuple

PROJECT, JAX, TORCH = ".venv", ".venv-jax", ".venv-torch"
KERAS2, OTHERS = ".venv-speed-keras2", ".venv-speed-others"


class Run(NamedTuple):
    """One process.

    Args:
        name: Name of the file of figures.
        environment: Folder of the virtual environment.
        module: Script of this folder.
        options: Its options.
        backend: Backend of Keras.
    """

    name: str
    environment: str
    module: str
    options: tuple[str, ...]
    backend: str = "tensorflow"


_SHORT = ("none", "batch normalization", "keras SN", "SN", "SN, grouped", "MSN", "WN")
_PARTS = (
    "none",
    "keras SN, not depthwise",
    "division alone",
    "vectors held",
    "SN, not depthwise",
    "SN, depthwise only",
    "SN",
    "SN, grouped",
)
_COMPILED = ("none", "keras SN", "SN", "SN, grouped")
GAN = (
    *("none", "batch normalization", "keras SN", "SN", "SN, grouped", "SN, measured once"),
    *("WN", "WN, measured once"),
)


def _measured(
    network: str,
    *options: str,
    contenders: tuple[str, ...] = (),
    name: str | None = None,
    framework: str = "project",
    environment: str = PROJECT,
    backend: str = "tensorflow",
) -> Run:
    given = ("--framework", framework, "--network", network, *options)
    if contenders:
        given += ("--contenders", *contenders)
    return Run(name or f"tensorflow-{network}", environment, "measure", given, backend)


def _on_backend(network: str, backend: str) -> tuple[str, ...]:
    if (network, backend) == ("mobilenet_v2", "torch"):
        # As torch's own wrapper has it.
        return (*_SHORT, "keras SN, not depthwise", "SN, not depthwise")
    if network != "sn_dcgan":
        return _SHORT
    # Keras' wrapper assigns to its kernel in each of the two calls of a discriminator, and PyTorch
    # refuses to differentiate through the first one.
    return tuple(name for name in GAN if (name, backend) != ("keras SN", "torch"))


def _times(rounds: int, calls: int, first: int, inference: int) -> tuple[str, ...]:
    options = ("--rounds", rounds, "--calls", calls, "--first-steps", first)
    return tuple(map(str, (*options, "--inference", inference)))


_PEERS = [
    _measured(
        network,
        *_times(*times),
        name=f"{title}-{network}",
        framework=framework,
        environment=environment,
    )
    for network, times in (("mobilenet_v2", (8, 5, 1, 0)), ("vgg7", (8, 5, 1, 0)))
    for title, framework, environment in (
        ("keras2", "keras2", KERAS2),
        ("pytorch", "torch", OTHERS),
        ("flax", "flax", OTHERS),
        ("equinox", "equinox", OTHERS),
    )
]
# Rounds and calls on JAX, which knows a graph that it has compiled before (no first steps), and
# PyTorch, whose steps pass through Python and scatter more: twice as many rounds.
_ON_BACKENDS = {
    "mobilenet_v2": (8, 4),
    "vgg7": (8, 4),
    "densenet_bc": (4, 1),
    "transformer": (6, 2),
    "sn_dcgan": (5, 2),
}
_BACKENDS = [
    _measured(
        network,
        *_times(rounds * (2 if backend == "torch" else 1), calls, 0, 0),
        contenders=_on_backend(network, backend),
        name=f"{backend}-{network}",
        environment=environment,
        backend=backend,
    )
    for network, (rounds, calls) in _ON_BACKENDS.items()
    for backend, environment in (("jax", JAX), ("torch", TORCH))
]
_XLA = [
    _measured(
        network,
        "--compile",
        *_times(3, calls, 1, 0),
        contenders=_COMPILED,
        name=f"tensorflow-{network}-xla",
    )
    for network, calls in (
        ("mobilenet_v2", 2),
        ("vgg7", 2),
        ("densenet_bc", 1),
        ("transformer", 1),
        ("sn_dcgan", 1),
    )
]
_LARGE = [
    _measured(
        network,
        *("--batch", "128"),
        *_times(5, calls, 0, 0),
        contenders=GAN if network == "sn_dcgan" else _SHORT,
        name=f"tensorflow-{network}-128",
    )
    for network, calls in (
        ("mobilenet_v2", 2),
        ("vgg7", 2),
        ("densenet_bc", 1),
        ("mobilenet_v2_full", 2),
        ("transformer", 1),
        ("sn_dcgan", 1),
    )
]


def _memory(network: str, name: str, count: str, batch: int, repeats: int) -> Run:
    given = ("--framework", "project", "--network", network, "--count", count)
    given += ("--batch", str(batch), "--repeats", str(repeats))
    contenders = GAN if network == "sn_dcgan" else _SHORT
    return Run(name, PROJECT, "memory", (*given, "--contenders", *contenders, "BSN"))


_MEMORY = [
    run
    for network in ("vgg7", "mobilenet_v2", "densenet_bc", "transformer", "sn_dcgan")
    for run in (
        _memory(network, f"tensors-{network}-32", "tensors", 32, 2),
        _memory(network, f"tensors-{network}-128", "tensors", 128, 2),
        _memory(network, f"memory-{network}", "process", 128, 3),
    )
]
# Differences of a few percent: few contenders, and many rounds.
_CLOSE = [
    _measured(
        network,
        *_times(rounds, calls, 0, 0),
        contenders=_COMPILED,
        name=f"tensorflow-{network}-close",
    )
    for network, rounds, calls in (
        ("vgg7", 80, 6),
        ("densenet_bc", 30, 2),
        ("transformer", 60, 3),
    )
]
# Folded models are plain ones: what they differ by is as small.
_FOLDED = [
    _measured(
        network,
        *_times(0, calls, 0, inference),
        contenders=("none", "SN", "SN, grouped", "MSN", "WN"),
        name=f"tensorflow-{network}-folded",
    )
    for network, calls, inference in (
        ("vgg7", 6, 60),
        ("densenet_bc", 2, 30),
        ("mobilenet_v2", 6, 40),
        ("transformer", 3, 30),
    )
]
# Evaluation as trained, which measures each kernel anew, beside that with stored vectors.
_EVALUATION = [
    _measured(
        network,
        *("--batch", str(batch)),
        *_times(0, calls, 0, rounds),
        contenders=("none", "SN, stored vectors", "SN", "SN, operator"),
        name=f"tensorflow-{network}-evaluation-{batch}",
    )
    for network, calls, rounds in (
        ("mobilenet_v2", 3, 12),
        ("vgg7", 3, 12),
        ("densenet_bc", 1, 6),
        ("transformer", 1, 8),
    )
    for batch in (32, 128)
]
# What follows the kernels in training.
_TRACKING = [
    _measured(
        network,
        *("--policy", policy),
        *_times(rounds, calls, 0, 0),
        contenders=("none", "SN", "SN, two iterations", "SN, four vectors"),
        name=f"tensorflow-{network}-tracking-{policy}",
    )
    for network, rounds, calls in (
        ("mobilenet_v2", 12, 4),
        ("vgg7", 12, 4),
        ("densenet_bc", 6, 1),
        ("transformer", 8, 2),
        ("mobilenet_v2_full", 6, 2),
        ("sn_dcgan", 6, 2),
    )
    for policy in ("float32", "mixed_bfloat16")
]
_NETWORK = ("--framework", "project", "--network", "mobilenet_v2")
RUNS = [
    _measured("mobilenet_v2", *_times(12, 6, 3, 0)),
    _measured("vgg7", *_times(30, 6, 3, 0)),
    _measured(
        "mobilenet_v2",
        *_times(20, 10, 0, 0),
        contenders=_PARTS,
        name="tensorflow-mobilenet_v2-parts",
    ),
    _measured("densenet_bc", *_times(16, 2, 3, 0), contenders=_SHORT),
    _measured("transformer", *_times(16, 3, 3, 0), contenders=_SHORT),
    *_CLOSE,
    *_FOLDED,
    *_EVALUATION,
    *_TRACKING,
    Run("isolated", PROJECT, "isolated", (*_NETWORK, "--batch", "1", "--rounds", "40")),
    *_MEMORY,
    Run("composites", PROJECT, "composites", ("--rounds", "60", "--calls", "2")),
    Run("depth", PROJECT, "depth", ("--rounds", "10", "--calls", "4")),
    *_PEERS,
    *_BACKENDS,
    *_XLA,
    _measured("sn_dcgan", *_times(5, 2, 1, 0), contenders=GAN),
    *_LARGE,
    _measured("mobilenet_v2_full", *_times(5, 3, 0, 0), contenders=_SHORT),
    Run("norm_times", PROJECT, "norm_times", ("--repeats", "1")),
]
