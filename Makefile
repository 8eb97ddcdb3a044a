# Each target installs what it needs into an environment of its own. Wanted beforehand: make, and
# Python 3.11 or newer with venv and pip, named by PYTHON.
PYTHON ?= python3
# Test processes side by side; 0 runs the tests in the process of pytest itself.
WORKERS ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

PYTEST = -m pytest -n $(WORKERS)
# The markers are described in pyproject.toml.
QUICK = not slow and not crossed
LATER = (slow or crossed)

.PHONY: help demo test test-all test-backends test-jax test-torch test-lowest test-hub test-hub-backends bench claims docs lint clean
.NOTPARALLEL:

help:
	@echo "make demo           train a VGG7 with spectral normalization; writes savedmodels/demo/"
	@echo "make test           the quick tests, on TensorFlow"
	@echo "make test-backends  those of every backend, on JAX and on PyTorch"
	@echo "make test-lowest    the same tests with the oldest Keras and TensorFlow admitted"
	@echo "make test-hub       the model families of keras-hub and keras.applications"
	@echo "make test-hub-backends  some of these on JAX and on PyTorch"
	@echo "make test-all       all of the above, and the tests that these leave out"
	@echo "make bench          what normalization costs, beside every peer: over two hours on a quiet machine"
	@echo "make claims         what the papers claim, measured: up to eight hours; goes on where it stopped"
	@echo "make docs           the pages of docs/ as HTML in build/docs"
	@echo "make lint           ruff: rules and formatting"
	@echo "make clean          remove everything that make has made"

# $(call created,FOLDER): an environment without packages, unless there is one that was finished.
# The marker beside the folder outlives an interrupted install; the next install then starts from
# an empty folder, because pip takes a half-written package for an installed one.
define created
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is wanted. Received: PYTHON=$(PYTHON)" >&2; exit 1; }
	@if [ -e $(1).installing ] || ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
		touch $(1).installing && $(PYTHON) -m venv --clear $(1); \
	fi
	@touch $(1).installing
endef

# $(call install,FOLDER,EXTRAS,CONSTRAINTS): an environment that holds the package, editable.
define install
	$(call created,$(1))
	$(1)/bin/python -m pip install -q -c $(3) -e ".[$(2)]"
	@rm $(1).installing
	@touch $@
endef

# $(call install_peers,FOLDER,REQUIREMENTS): an environment without the package.
define install_peers
	$(call created,$(1))
	$(1)/bin/python -m pip install -q -r $(2)
	@rm $(1).installing
	@touch $@
endef

comma := ,
tested := requirements/tested.txt

.venv/installed-demo: setup.cfg pyproject.toml $(tested)
	$(call install,.venv,tensorflow-cpu$(comma)examples$(comma)edge,$(tested))

.venv/installed-test: setup.cfg pyproject.toml $(tested)
	$(call install,.venv,tensorflow-cpu$(comma)examples$(comma)edge$(comma)onnx$(comma)test,$(tested))

.venv-jax/installed-test: setup.cfg pyproject.toml $(tested)
	$(call install,.venv-jax,jax$(comma)examples$(comma)test,$(tested))

.venv-torch/installed-test: setup.cfg pyproject.toml $(tested)
	$(call install,.venv-torch,torch$(comma)examples$(comma)onnx$(comma)test,$(tested))

.venv-lowest/installed-test: setup.cfg pyproject.toml requirements/lowest.txt
	$(call install,.venv-lowest,tensorflow-cpu$(comma)test,requirements/lowest.txt)

# keras-hub is installed without its dependencies: see its requirements.
.venv-hub/installed-test: setup.cfg pyproject.toml $(tested) requirements/hub.txt
	$(call created,.venv-hub)
	.venv-hub/bin/python -m pip install -q -c $(tested) -e ".[tensorflow-cpu,test]"
	.venv-hub/bin/python -m pip install -q --no-deps -r requirements/hub.txt
	@rm .venv-hub.installing
	@touch $@

.venv-jax/installed-hub .venv-torch/installed-hub: %/installed-hub: %/installed-test requirements/hub.txt
	$*/bin/python -m pip install -q --no-deps -r requirements/hub.txt
	@touch $@

# The test processes share the cores: threads of their own would only wait for one another.
test test-jax test-torch test-lowest test-hub test-hub-backends test-all: export OMP_NUM_THREADS ?= 1

# To compile takes JAX longer than all the rest: little is optimized, and each program is compiled
# once for all processes. What XLA optimizes is tested on TensorFlow.
test-jax test-hub-backends: export JAX_DISABLE_MOST_OPTIMIZATIONS ?= 1
test-jax test-hub-backends: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.venv-jax/compiled
test-jax test-hub-backends: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0

demo: .venv/installed-demo
	KERAS_BACKEND=tensorflow .venv/bin/python examples/vgg7.py

test: .venv/installed-test
	KERAS_BACKEND=tensorflow .venv/bin/python $(PYTEST) -m "$(QUICK)"

test-jax: .venv-jax/installed-test
	KERAS_BACKEND=jax .venv-jax/bin/python $(PYTEST) -m "backends and $(QUICK)"

test-torch: .venv-torch/installed-test
	KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) -m "backends and $(QUICK)"

test-backends: test-jax test-torch

test-lowest: .venv-lowest/installed-test
	KERAS_BACKEND=tensorflow .venv-lowest/bin/python $(PYTEST) \
		-m "backends and not newest_keras and $(QUICK)"

test-hub: .venv-hub/installed-test
	KERAS_BACKEND=tensorflow .venv-hub/bin/python $(PYTEST) tests/hub

# One family of each kind.
test-hub-backends: .venv-jax/installed-hub .venv-torch/installed-hub
	KERAS_BACKEND=jax .venv-jax/bin/python $(PYTEST) tests/hub
	KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) tests/hub

test-all: test test-backends test-lowest test-hub test-hub-backends
	KERAS_BACKEND=tensorflow .venv/bin/python $(PYTEST) -m "$(LATER)"
	KERAS_BACKEND=jax .venv-jax/bin/python $(PYTEST) -m "backends and $(LATER)"
	KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) -m "backends and $(LATER)"
	KERAS_BACKEND=tensorflow .venv-lowest/bin/python $(PYTEST) \
		-m "backends and not newest_keras and $(LATER)"

# The peers: those that ended with Keras 2, and those of PyTorch and JAX. None of them needs the package.
.venv-speed-keras2/installed: requirements/speed-keras2.txt
	$(call install_peers,.venv-speed-keras2,$<)

.venv-speed-others/installed: requirements/speed-others.txt
	$(call install_peers,.venv-speed-others,$<)

bench: .venv/installed-test .venv-jax/installed-test .venv-torch/installed-test \
		.venv-speed-keras2/installed .venv-speed-others/installed
	.venv/bin/python -m benchmarks.speed
	.venv/bin/python -m benchmarks.speed.page

claims: .venv/installed-test
	KERAS_BACKEND=tensorflow .venv/bin/python -m benchmarks.claims --jobs $(WORKERS)
	KERAS_BACKEND=tensorflow .venv/bin/python -m benchmarks.claims.page

.venv-docs/installed-docs: setup.cfg pyproject.toml $(tested)
	$(call install,.venv-docs,docs,$(tested))

docs: .venv-docs/installed-docs
	.venv-docs/bin/mkdocs build -q --strict

lint: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

clean:
	rm -rf .venv .venv-jax .venv-torch .venv-lowest .venv-hub .venv-docs .venv-speed-* .venv*.installing build dist *.egg-info
	rm -rf .hypothesis .pytest_cache .ruff_cache savedmodels/demo output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
