"""Tables of times: training steps, first steps and inference, by network, backend and peer."""

from benchmarks.speed.tables import Figures, by_contender, markdown, parts_of, ratio, table

TENSORFLOW = parts_of("tensorflow-{}")


@table("training step")
def _training_step(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, TENSORFLOW, "training step")


@table("parts")
def _parts(results: dict[str, Figures]) -> list[str]:
    parts = {"tensorflow-mobilenet_v2-parts": "MobileNetV2 0.5"}
    return by_contender(results, parts, "training step")


@table("close")
def _close(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-close"), "training step")


@table("first step")
def _first_step(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, TENSORFLOW, "first step")


@table("evaluation")
def _evaluation(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-evaluation-32"), "inference", ", folded")


@table("evaluation, batch of 128")
def _evaluation_of_a_large_batch(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-evaluation-128"), "inference", ", folded")


@table("tracking, float32")
def _tracking(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-tracking-float32"), "training step")


@table("tracking, bfloat16")
def _tracking_bfloat16(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-tracking-mixed_bfloat16"), "training step")


@table("folded")
def _folded(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-folded"), "inference")


@table("batch of 128")
def _large_batch(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-128"), "training step")


@table("XLA")
def _compiled(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-xla"), "training step")


@table("XLA, first step")
def _compiled_first_step(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("tensorflow-{}-xla"), "first step")


@table("JAX")
def _jax(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("jax-{}"), "training step")


@table("PyTorch")
def _torch(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, parts_of("torch-{}"), "training step")


_GPU_RUNS = {
    "mobilenet_v2-128": "MobileNetV2 0.5, batch 128",
    "mobilenet_v2-512": "batch 512",
    "densenet_bc-128": "DenseNet-BC-100, batch 128",
    "densenet_bc-512": "batch 512",
    "sn_dcgan-128": "SN-DCGAN, batch 128",
}
# Titles of the parts of each precision.
GPU = {
    precision: {f"gpu-{run}-{precision}": title for run, title in _GPU_RUNS.items()}
    for precision in ("float32", "bfloat16")
}


@table("GPU, float32")
def _gpu(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, GPU["float32"], "training step")


@table("GPU, bfloat16")
def _gpu_bfloat16(results: dict[str, Figures]) -> list[str]:
    return by_contender(results, GPU["bfloat16"], "training step")


_PEERS = {
    "keras2": "TensorFlow 2.15",
    "pytorch": "PyTorch",
    "flax": "flax",
    "equinox": "equinox",
}


@table("peers")
def _peers(results: dict[str, Figures]) -> list[str]:
    rows = []
    for framework, title in _PEERS.items():
        columns = {
            network: results.get(f"{framework}-{network}", {}).get("figures", {})
            for network in ("vgg7", "mobilenet_v2")
        }
        names = dict.fromkeys(
            name for found in columns.values() for name in found.get("training step", {})
        )
        for name in names:
            if name == "none":
                continue
            cells = [
                ratio(found.get(figure, {}).get(name))
                for found in columns.values()
                for figure in ("training step", "first step")
            ]
            rows.append([title, name, *(cell.split(" (")[0] if i % 2 else cell
                                         for i, cell in enumerate(cells))])  # fmt: skip
    head = ["framework", "contender", "VGG7, step", "first step", "MobileNetV2 0.5, step"]
    return markdown([*head, "first step"], rows)
