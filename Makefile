# Targets of the project; `make help` lists them. Each target installs what it needs.

VENV ?= .venv
# Your own interpreter. It is used as it is: no environment is made and nothing is installed.
PYTHON ?=
# Optional packages: ray, submitit, tensorboard, wandb, mlflow, optimizers.
EXTRAS ?= $(filter ray,$(EXECUTOR)) $(filter tensorboard wandb,$(TRACKER))
comma := ,
# The build of PyTorch: auto, cpu, or cu130 and the like; with uv alone.
TORCH ?=
# The network that `make model` shows; empty to list all networks.
NETWORK ?=
# Passed to the program as environment variables, so that no value needs quoting.
export PROFILE CORPUS TOKENIZER VOCAB_SIZE SEEDS FIRST_SEED BUDGETS JOBS EXECUTOR DEVICE PRECISION COMPILE \
  SLOTS_PER_GPU CHECKPOINT_SECONDS RUN_TIMEOUT FAIL_FAST ALL TRACKER NAME KIND REFERENCE NANOGPT HOURS RESULTS SAMPLE \
  RUNS CLAIMS LOOKS REQUIRE PAGE JSON ABLATIONS TASKS MINUTES BATCH SLURM

names := $(subst _,-,$(filter-out __init__,$(basename $(notdir $(wildcard experiments/ablations/*.py $(ABLATIONS:%=%/*.py))))))

ifeq ($(PYTHON),)
python := $(VENV)/bin/python
extras := $(subst $() ,,$(EXTRAS:%=-%))
installed := $(VENV)/.installed$(extras)
else
python := $(PYTHON)
installed := complete
endif

.DEFAULT_GOAL := help
.PHONY: help setup all work submit deeper decide trends restore list status new-ablation report notebook paper compare export retry claims judge verify bench gpu-check calibrate publish readme columns model test check-fast soak scale lint lock clean complete $(names)

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '  make %-13s %s\n' NAME 'Train one ablation alone: $(names)'
	@printf '%s\n' '' 'Variables: PROFILE (auto, smoke, cpu, gpu)  CORPUS (shakespeare, tinyshakespeare, a path)' \
	  '           TOKENIZER (characters, bpe)  VOCAB_SIZE (of byte pairs)' \
	  '           SEEDS  FIRST_SEED  BUDGETS (as in 1,4)  JOBS  EXECUTOR (local, ray)  DEVICE (auto, cuda, mps, cpu)' \
	  '           PRECISION (auto, fp32, bf16)  COMPILE (0, 1)  SLOTS_PER_GPU' \
	  '           TRACKER (none, tensorboard, wandb)  FAIL_FAST (0, 1)  ALL, SAMPLE (verify)  REFERENCE (0, 1: report, notebook, paper, export)' \
	  '           RUN_TIMEOUT, CHECKPOINT_SECONDS (seconds)  NANOGPT (a checkout: bench)  HOURS (decide)' \
	  '           TASKS, MINUTES, BATCH (slurm, local), SLURM (as in partition=gpu,gres=gpu:1): submit' \
	  '           RESULTS (folder)  SECOND (folders of other studies: compare)' \
	  '           RUNS, CLAIMS, LOOKS (as in 8,12,20), REQUIRE (supported, ...), PAGE (an .html): judge  JSON (0, 1: claims, judge, list, status, verify)' \
  '           NAME, KIND (position, norm, activation, attention, self-attention, sublayer, initialisation,' \
  '           family, optimizer, schedule, loss, task, probe): new-ablation  ABLATIONS (folder of your own ablations)' \
  '           TORCH (auto, cpu, cu130: setup, with uv)  VENV (folder of the environment)  PYTHON (your own interpreter)'

setup: $(installed) ## Create the virtual environment and install the pinned packages
	@:
all: $(installed) ## Train the unfinished runs of all ablations and write the report
	@$(python) -m experiments run
work: $(installed) ## Train with other calls of it that share the folder, on this machine or others
	@$(python) -m experiments work
submit: $(installed) ## Submit TASKS jobs that each do `make work`, under SLURM: EXTRAS=submitit
	@$(python) -m experiments submit
deeper: $(installed) ## Finish the study, and train it at the next budget
	@$(python) -m experiments deeper
decide: $(installed) ## Add seeds to undecided claims that they would decide: make decide HOURS=2
	@$(python) -m experiments decide
trends: $(installed) ## Train at the next budget, with three seeds, claims whose effect still changes
	@$(python) -m experiments trends
restore: $(installed) ## Go on from the published study: its runs are made from its tables
	@$(python) -m experiments restore
$(names): $(installed)
	@$(python) -m experiments run $@
list: $(installed) ## List ablations, variants, numbers of runs and estimated times
	@$(python) -m experiments list
status: $(installed) ## Show how many runs are done, failed, running and left, and the time left
	@$(python) -m experiments status
new-ablation: $(installed) ## Write the file of a new ablation: make new-ablation NAME=my-idea KIND=attention
	@$(python) -m experiments new-ablation
report: $(installed) ## Build the report from the finished runs; REFERENCE=1: from the published tables
	@$(python) -m experiments report
notebook: $(installed) ## Write an ablation's section as an executed notebook: make notebook ABLATION=heads
	@$(python) -m experiments notebook
compare: $(installed) ## Mark the verdicts that another study decides too: make compare SECOND=results/other
	@$(python) -m experiments compare $(SECOND)
paper: $(installed) ## Write up the study as paper.html and LaTeX; REFERENCE=1: the published tables
	@$(python) -m experiments paper
export: $(installed) ## Write the tables as CSV and the verdicts as JSON; REFERENCE=1: the published tables
	@$(python) -m experiments export
retry: $(installed) ## Train the failed runs again
	@$(python) -m experiments retry
claims: $(installed) ## Print the verdicts of the study; REFERENCE=1: the published ones
	@$(python) -m experiments claims
judge: $(installed) ## Judge claims about anybody's runs: make judge RUNS=runs.csv CLAIMS=claims.py
	@$(python) -m experiments judge
verify: $(installed) ## Train SAMPLE=5 finished runs again (ALL=1: all), and compare the results
	@$(python) -m experiments verify
calibrate: $(installed) ## Train nanoGPT's recipe with five seeds and compare with its published loss
	@$(python) -m experiments calibrate
publish: $(installed) ## Publish a finished study (PROFILE=cpu) as the reference, and update the README
	@$(python) -m report.output.publish $(or $(RESULTS),results)/$(or $(PROFILE),cpu)
readme: $(installed) ## Update the README's computed parts and pictures from the published tables
	@$(python) -m report.output.readme
bench: $(installed) ## Measure training speed; half an hour, nothing else may run
	@$(python) -m experiments bench
gpu-check: $(installed) ## Check that a graphics card trains as promised: bits, resume, kernels, speed
	@$(python) -m experiments gpu-check
columns: $(installed) ## Print the data dictionary of the tables
	@$(python) -m experiments columns
model: $(installed) ## Show parameters, FLOPs and shapes of a network: make model NETWORK=vaswani-base
	@$(python) -m experiments network $(NETWORK)
test: $(installed) ## Run the tests
	@$(python) -m pytest -n auto
check-fast: lint ## Before a commit: lint, types and the quick tests of the changed rooms
	@$(python) -m tests.changed
soak: $(installed) ## Kill and fail small studies at every moment, damage files, feed bad input: nothing may be lost
	@$(python) -m tests.soak
	@$(python) -m tests.crash_points
	@$(python) -m tests.crash_points --command work
	@$(python) -m tests.sharing
	@FUZZ=2000 $(python) -m pytest tests/test_random_input.py
scale: $(installed) ## Plan, schedule and collect 100,000 empty runs, with EXTRAS=ray
	@$(python) -m tests.scale
lint: $(installed) ## Check style and types of all code
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
lock: ## Write requirements.lock, the packages of constraints.txt with their hashes: needs uv
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-package torch --no-annotate --no-header --quiet --constraint constraints.txt --output-file requirements.lock
clean: $(installed) ## Delete the results of the profile PROFILE
	@$(python) -m experiments clean

$(VENV)/.installed$(extras): pyproject.toml constraints.txt requirements.lock
	@base=$$(for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done); \
	[ -n "$$base" ] || { echo 'error: Python 3.11 or newer is needed, and none was found' >&2; exit 2; }; \
	echo "Setting up $(VENV): a few minutes, once"; \
	[ -x $(VENV)/bin/python ] || $$base -m venv $(VENV) || exit 2; \
	if command -v uv > /dev/null; then \
	  install='uv pip install --python $(VENV)/bin/python --constraint requirements.lock $(TORCH:%=--torch-backend=%)'; \
	elif [ -z '$(TORCH)' ]; then install='$(VENV)/bin/python -m pip --disable-pip-version-check install'; \
	else echo 'error: TORCH needs uv: pip installs the build that its index has' >&2; exit 2; fi; \
	$$install --quiet --constraint constraints.txt --editable '.[dev$(subst -,$(comma),$(extras))]' \
	  || { echo 'error: the packages could not be installed: is there a network?' >&2; exit 2; }
	@$(VENV)/bin/python -c 'from importlib.metadata import version; print("PyTorch", version("torch"))'
	@touch $@ $(VENV)/.installed

needed := torch numpy pandas pyarrow scipy statsmodels seaborn matplotlib papermill jupytext \
  PIL nbformat traitlets ipykernel IPython jinja2 markupsafe latex2mathml cyclopts rich psutil \
  safetensors filelock tokenizers
complete:
	@$(python) -c 'import sys; from importlib.util import find_spec; \
	  lacking = [name for name in sys.argv[1:] if not find_spec(name)]; \
	  sys.exit("error: PYTHON=$(PYTHON) lacks " + ", ".join(lacking) if lacking else 0)' \
	  $(needed) || exit 2

# Any other name: one line instead of make's own message.
.DEFAULT:
	@echo "error: '$@' is neither a target nor an ablation; ablations: $(names); targets: make help" >&2; exit 2
