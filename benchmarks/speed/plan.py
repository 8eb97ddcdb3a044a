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
_GAN = ("none", "batch normalization", "keras SN", "SN", "SN, grouped", "WN")


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
_BACKENDS = [
    _measured(
        network,
        # JAX knows a graph that it has compiled before: no first steps.
        *_times(8, 4, 0, 0),
        contenders=_SHORT,
        name=f"{backend}-{network}",
        environment=environment,
        backend=backend,
    )
    for network in ("mobilenet_v2", "vgg7")
    for backend, environment in (("jax", JAX), ("torch", TORCH))
]
_NETWORK = ("--framework", "project", "--network", "mobilenet_v2")
RUNS = [
    _measured("mobilenet_v2", *_times(12, 6, 2, 6)),
    _measured("vgg7", *_times(10, 6, 2, 6)),
    _measured(
        "mobilenet_v2",
        *_times(20, 10, 0, 0),
        contenders=_PARTS,
        name="tensorflow-mobilenet_v2-parts",
    ),
    _measured("densenet_bc", *_times(6, 2, 2, 3), contenders=_SHORT),
    _measured("transformer", *_times(6, 3, 2, 3), contenders=_SHORT),
    Run("isolated", PROJECT, "isolated", (*_NETWORK, "--batch", "1", "--rounds", "40")),
    Run(
        "memory",
        PROJECT,
        "memory",
        (*_NETWORK, "--batch", "128", "--repeats", "2", "--contenders", *_SHORT),
    ),
    Run("depth", PROJECT, "depth", ("--rounds", "10", "--calls", "4")),
    *_PEERS,
    *_BACKENDS,
    _measured(
        "mobilenet_v2",
        "--compile",
        *_times(3, 2, 1, 0),
        contenders=_COMPILED,
        name="tensorflow-mobilenet_v2-xla",
    ),
    _measured(
        "vgg7", "--compile", *_times(3, 2, 1, 0), contenders=_COMPILED, name="tensorflow-vgg7-xla"
    ),
    _measured("sn_dcgan", *_times(5, 2, 1, 0), contenders=_GAN),
    *(
        _measured(
            network,
            *("--batch", "128"),
            *_times(5, 2, 0, 0),
            contenders=_SHORT,
            name=f"tensorflow-{network}-128",
        )
        for network in ("mobilenet_v2", "vgg7")
    ),
    _measured("mobilenet_v2_full", *_times(5, 3, 0, 0), contenders=_SHORT),
    Run("norm_times", PROJECT, "norm_times", ("--repeats", "1")),
]
