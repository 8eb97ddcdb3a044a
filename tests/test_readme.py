"""What the README shows and promises."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_quick_start_runs_and_its_model_loads_without_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (quick_start,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    random = np.random.default_rng(0)
    names = {
        "images": random.random((64, 32, 32, 3), "float32"),
        "labels": random.integers(0, 10, 64),
    }
    exec(compile(quick_start, "README.md", "exec"), names)
    names["plain"].save("model.keras")
    np.save("outputs.npy", names["model"].predict(names["images"], verbose=0))
    np.save("images.npy", names["images"])

    load = """
import sys
import keras, numpy as np
outputs = keras.saving.load_model("model.keras").predict(np.load("images.npy"), verbose=0)
print(np.abs(outputs - np.load("outputs.npy")).max(), "tfspecnorm" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    difference, imported = result.stdout.split()[-2:]
    assert float(difference) < 1e-5
    assert imported == "False"
    assert (tmp_path / "saved_model").is_dir()


DOCUMENTS = [
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_file_that_a_document_names_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    named = re.findall(r"`((?:tests|examples|benchmarks|requirements|docs)/[\w./-]*)`", text)
    missing = [name for name in linked if not (ROOT / document.parent / name).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []
