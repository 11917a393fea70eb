# make app    the page on http://127.0.0.1:7860
# make test   lint and tests
# make samples  samples/denoised, samples/classic and images/, from the embedded weights
# make images   pictures of the page, by Chromium
# Both set up .venv by themselves. TORCH_BACKEND=cpu takes torch without CUDA (4 GB less).
PYTHON ?= python3
BIN := .venv/bin
# uv from the machine where there is one, otherwise from .venv
UV = $(or $(shell command -v uv),$(BIN)/uv)
# --compile-bytecode as pip does, or the page takes twice as long to start
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python \
	$(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))

.PHONY: app test samples images

app: .venv/app.stamp
	$(BIN)/python app.py

test: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest
	PYTHONPATH=.venv/hub-1 $(BIN)/python -m pytest tests/test_hub.py tests/test_publish.py

.venv/python.stamp:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	$(PYTHON) -m venv .venv
	command -v uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	touch $@

.venv/app.stamp: .venv/python.stamp requirements.txt
	$(INSTALL) -r requirements.txt
	# what librosa compiles, and fonts: half a minute that the first visitor would wait
	$(BIN)/python -c 'import app, denoiser; app.server.warm_up(denoiser.load())'
	touch $@

.venv/test.stamp: .venv/app.stamp requirements-dev.txt training/requirements.txt
	$(INSTALL) -r requirements-dev.txt
	$(INSTALL) --target .venv/hub-1 'huggingface_hub<2'  # gradio takes 1.x and 2.x
	touch $@

samples: .venv/test.stamp
	$(BIN)/python docs/samples.py

images: .venv/test.stamp
	$(BIN)/python docs/screenshots.py
