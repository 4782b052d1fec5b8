# Everything runs in a virtual environment of its own, .venv, made on first use. `make help` lists the commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOG    := $(VENV)/install.log
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off -c constraints.txt

# PyTorch's own index has Linux builds without CUDA, a tenth of the size. They are taken where there is no NVIDIA driver
# and the index answers. TORCH_INDEX=URL names another index; TORCH_INDEX= leaves pip as it is configured.
CPU_INDEX   := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null || { $(PYTHON) -c \
	"import urllib.request as u; u.urlopen('$(CPU_INDEX)/', timeout=5)" 2>/dev/null && echo $(CPU_INDEX); })

.DEFAULT_GOAL := help
.PHONY: help demo test lint hosts soak bench train clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/ready ## paint people into two pictures with the embedded network; results in output/demo
	@$(BIN)/python run.py demo

test: lint hosts ## every check and test that can run on this machine
	@echo "== pytest"
	@$(BIN)/python -m pytest tests -c tests/pytest.ini

lint: $(VENV)/ready-dev
	@echo "== ruff"
	@$(BIN)/ruff check .
	@echo "== mypy"
	@mkdir -p $(VENV)/check && ln -sfn ../.. $(VENV)/check/anyone
	@cd $(VENV)/check && ../bin/mypy --config-file ../../pyproject.toml -p anyone.core -p anyone.nodes -m anyone.run

hosts: $(VENV)/ready-dev
	@echo "== ComfyUI"
	@$(BIN)/python tests/host_setup.py $$(cat $(VENV)/pip-options)

soak: $(VENV)/ready-dev ## ten minutes of runs in one process: same pixels, no growing memory
	@SOAK_SECONDS=$${SOAK_SECONDS:-600} $(BIN)/python -m pytest tests/test_soak.py -c tests/pytest.ini

bench: $(VENV)/ready ## time plain against fast networks; prints the tables of docs/benchmark.md
	@$(BIN)/python run.py bench

TRIAGAN := run.py train triagan --data runs/pools/tall --base 16 --blocks 1 --batch 16 --ema-images 3000 --bf16 --resume

SEAN := run.py train sean --data runs/pools/square --width 24 --style 32 --batch 16 --pixel 20 --adversarial-from 1 --bf16 --resume

DEFORMABLE := run.py train deformable --data runs/pools/pairs --widths 32,64,128,160,160,160 --dropout 0 --adversarial 0 --bf16 --resume

PG2 := run.py train pg2 --data runs/pools/pairs --batch 8 --channels 24 --adversarial-weight 0 --ema-images 600 --bf16 --resume

STYLEGAN := run.py train stylegan --data runs/pools/pairs --preset shhq --mapping 2 --widest 128 --latent 256 --bf16 --resume

train: $(VENV)/ready ## train the embedded networks as shipped, from nothing, into runs/ (7 hours on a CPU core)
	@$(BIN)/python run.py people --out runs/pools/tall --count 6656 --size 144x80
	@$(BIN)/python $(TRIAGAN) --out runs/triagan-36 --size 36x20 --budget 8m --lr 1e-2
	@$(BIN)/python $(TRIAGAN) --out runs/triagan-72 --size 72x40 --budget 14m --lr 1e-2 \
		--grow runs/triagan-36/triagan.safetensors
	@$(BIN)/python $(TRIAGAN) --out runs/triagan-144 --size 144x80 --budget 60m --adversarial-from 0.6 --adversarial-weight 0.08 \
		--grow runs/triagan-72/triagan.safetensors
	@$(BIN)/python run.py people --out runs/pools/square --count 16384 --size 128x128 --first-id 200000
	@$(BIN)/python run.py train detect --data runs/pools/square --out runs/detect --steps 10400 --bf16 --resume
	@$(BIN)/python $(SEAN) --out runs/sean-64 --size 64x64 --steps 2025 --muon 0.02
	@$(BIN)/python $(SEAN) --out runs/sean-128 --size 128x128 --steps 437 --muon 0.01 --grow runs/sean-64/sean.safetensors
	@$(BIN)/python run.py people --out runs/pools/pairs --count 24000 --size 128x64 --mode studio --views 4 --first-id 300000
	@$(BIN)/python $(DEFORMABLE) --out runs/deformable-64 --size 64x32 --steps 540 --batch 24 --muon 0.03 --ema-images 1500 \
		--pixel 20 --nearest 1
	@$(BIN)/python $(DEFORMABLE) --out runs/deformable-128 --steps 1006 --batch 16 --muon 0.02 --ema-images 1500 \
		--pixel 20 --nearest 1 --grow runs/deformable-64/deformable.safetensors
	@$(BIN)/python $(DEFORMABLE) --out runs/deformable --steps 366 --batch 16 --muon 0.01 --ema-images 800 \
		--pixel 30 --nearest 0.5 --grow runs/deformable-128/deformable.safetensors
	@$(BIN)/python $(PG2) --out runs/pg2 --steps 2683 --muon 0.01 --stage2-from 0.54
	@$(BIN)/python $(STYLEGAN) --out runs/stylegan-32 --size 32x16 --base 2048 --steps 6942 --batch 16 --informed-until 1 \
		--informed-rate 0.04
	@$(BIN)/python $(STYLEGAN) --out runs/stylegan-64 --size 64x32 --base 3072 --steps 7290 --batch 16 --informed-until 1 \
		--informed-rate 0.03 --start runs/stylegan-32/stylegan.safetensors
	@$(BIN)/python $(STYLEGAN) --out runs/stylegan-128 --size 128x64 --base 3072 --steps 8918 --batch 8 --informed-until 1 \
		--start runs/stylegan-64/stylegan.safetensors
	@$(BIN)/python $(STYLEGAN) --out runs/stylegan-more --size 128x64 --base 3072 --steps 4226 --batch 16 --informed-until 1 \
		--start runs/stylegan-128/stylegan.safetensors
	@$(BIN)/python $(STYLEGAN) --out runs/stylegan --size 128x64 --base 3072 --steps 425 --batch 8 --informed-until 0.0001 \
		--ema-images 1000 --spread 0.46 --start runs/stylegan-more/stylegan.safetensors

clean: ## remove the virtual environment, caches and results
	@rm -rf $(VENV) output temp .ruff_cache .mypy_cache .hypothesis tests/.pytest_cache

# The package is its repository's root, whatever the clone is called; the link gives mypy a folder of the right name.

$(VENV)/ready: requirements.txt constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 10) else \
		'Anyone needs Python 3.10 or newer: make PYTHON=python3.12 ' + '$(MAKECMDGOALS)')"
	@test -x $(BIN)/python || { echo "== making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "== installing PyTorch (once; details in $(LOG))"
	@echo $(addprefix --extra-index-url ,$(TORCH_INDEX)) >$(VENV)/pip-options
	@$(PIP) $$(cat $(VENV)/pip-options) torch >$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@echo "== installing the other requirements"
	@$(PIP) -r requirements.txt >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready requirements-dev.txt
	@echo "== installing the test tools"
	@$(PIP) -r requirements-dev.txt >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@
