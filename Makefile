# The front door. `make help` lists what there is; each target sets up what it needs by itself.

VENV ?= .venv
# An interpreter of your own, used as it is: nothing is made and nothing installed.
PYTHON ?=
# Packages that only some need: ray, tensorboard, wandb.
EXTRAS ?= $(filter ray,$(EXECUTOR)) $(filter tensorboard wandb,$(TRACKER))
comma := ,
# Which network `make model` shows; without a name it lists them.
NETWORK ?=
# Handed on to the program through the environment, so that no quoting can go wrong.
export PROFILE CORPUS TOKENIZER VOCAB_SIZE SEEDS JOBS EXECUTOR DEVICE PRECISION COMPILE SLOTS_PER_GPU \
  CHECKPOINT_SECONDS RUN_TIMEOUT FAIL_FAST ALL TRACKER NAME REFERENCE

ABLATIONS := $(subst _,-,$(filter-out __init__,$(basename $(notdir $(wildcard experiments/ablations/*.py)))))

ifeq ($(PYTHON),)
python := $(VENV)/bin/python
extras := $(subst $() ,,$(EXTRAS:%=-%))
installed := $(VENV)/.installed$(extras)
else
python := $(PYTHON)
installed := complete
endif

.DEFAULT_GOAL := help
.PHONY: help setup all list status new-ablation report retry verify bench calibrate publish readme columns model test soak scale lint clean complete $(ABLATIONS)

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '  make %-13s %s\n' NAME 'Train one ablation alone: $(ABLATIONS)'
	@printf '%s\n' '' 'Variables: PROFILE (auto, smoke, cpu, gpu)  CORPUS (shakespeare, tinyshakespeare, a path)' \
	  '           TOKENIZER (characters, bpe)  VOCAB_SIZE (of byte pairs)' \
	  '           SEEDS  JOBS  EXECUTOR (local, ray)  DEVICE (auto, cuda, mps, cpu)' \
	  '           PRECISION (auto, fp32, bf16)  COMPILE (0, 1)  SLOTS_PER_GPU' \
	  '           TRACKER (none, tensorboard, wandb)  FAIL_FAST (0, 1)  ALL (0, 1: verify)  REFERENCE (0, 1: report)' \
	  '           RUN_TIMEOUT, CHECKPOINT_SECONDS (seconds)' \
	  '           VENV (where to keep the environment)  PYTHON (one of your own, used as it is)'

setup: $(installed) ## Make the virtual environment and install the pinned packages
	@:
all: $(installed) ## Train what is not done yet, all ablations, and write the report
	@$(python) -m experiments run
$(ABLATIONS): $(installed)
	@$(python) -m experiments run $@
list: $(installed) ## The ablations, their variants, how many runs, and how long they will take
	@$(python) -m experiments list
status: $(installed) ## How far a study is: done, failed, running, left, and the time left
	@$(python) -m experiments status
new-ablation: $(installed) ## Write the file of a new ablation: make new-ablation NAME=my-idea
	@$(python) -m experiments new-ablation
report: $(installed) ## Rebuild the report from what has been run so far; REFERENCE=1: from what is published
	@$(python) -m experiments report
retry: $(installed) ## Train again the runs that failed
	@$(python) -m experiments retry
verify: $(installed) ## Train a few finished runs again (all: ALL=1): do they come out the same?
	@$(python) -m experiments verify
calibrate: $(installed) ## Train nanoGPT's recipe with five seeds: do we end where it does?
	@$(python) -m experiments calibrate
publish: $(installed) ## Make a whole study of PROFILE=cpu the published reference, and refresh the README
	@$(python) -m report.page.publish results/$(or $(PROFILE),cpu)
readme: $(installed) ## Write the README's computed parts and pictures anew from the published tables
	@$(python) -m report.page.readme
bench: $(installed) ## How fast this machine trains; half an hour, with nothing else running
	@$(python) -m experiments bench
columns: $(installed) ## The data dictionary of the tables
	@$(python) -m experiments columns
model: $(installed) ## A network's parameters, FLOPs and shapes: make model NETWORK=vaswani-base
	@$(python) -m experiments network $(NETWORK)
test: $(installed) ## Run the tests
	@$(python) -m pytest -n auto
soak: $(installed) ## Kill small studies fifty times, spoil their files, feed it nonsense: is anything lost?
	@$(python) -m tests.soak
	@FUZZ=2000 $(python) -m pytest tests/test_hostile.py
scale: $(installed) ## Plan, schedule and collect 100,000 runs that do nothing, with EXTRAS=ray
	@$(python) -m tests.scale
lint: $(installed) ## Check style and types
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
clean: $(installed) ## Delete the results of the profile that PROFILE names
	@$(python) -m experiments clean

$(VENV)/.installed$(extras): pyproject.toml constraints.txt
	@base=$$(for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done); \
	[ -n "$$base" ] || { echo 'error: Python 3.11 or newer is needed, and none was found' >&2; exit 2; }; \
	echo "Setting up $(VENV): a few minutes, once"; \
	[ -x $(VENV)/bin/python ] || $$base -m venv $(VENV) || exit 2; \
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
	  --constraint constraints.txt --editable '.[dev$(subst -,$(comma),$(extras))]' \
	  || { echo 'error: the packages could not be installed: is there a network?' >&2; exit 2; }
	@touch $@ $(VENV)/.installed

needed := torch numpy pandas pyarrow scipy statsmodels seaborn matplotlib papermill jupytext \
  nbconvert nbformat traitlets ipykernel IPython jinja2 markupsafe latex2mathml cyclopts rich psutil \
  safetensors filelock tokenizers
complete:
	@$(python) -c 'import sys; from importlib.util import find_spec; \
	  lacking = [name for name in sys.argv[1:] if not find_spec(name)]; \
	  sys.exit("error: PYTHON=$(PYTHON) lacks " + ", ".join(lacking) if lacking else 0)' \
	  $(needed) || exit 2

# Any other name: say so in one line instead of make's own riddle.
.DEFAULT:
	@echo "error: '$@' is neither a target nor an ablation; ablations: $(ABLATIONS); targets: make help" >&2; exit 2
