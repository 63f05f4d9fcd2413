# Two commands do most of it: `make book` and `make test`. `make help` lists the rest.

PYTHON = python3
DATA =
CHAPTER =
RECORDED =
N =
NAME =
RUN =
PORT = 8000
LAB =
LOCK =
MINUTES =
JOBS =
RUNS =
UV = 0.13.9
TORCH = torch==2.13.0
# Of two environments of other versions. `python3.13` may be there and not start (pyenv).
python = $(shell python$(1) -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
COLAB_PYTHON = $(call python,3.13)
LOWEST_PYTHON = $(call python,3.11)

BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest --durations=8 --durations-min=5
CHAPTERS := $(BIN)/python tools/notebooks.py

# owner/name on GitHub, as pyproject.toml states it, and the files that `make format` carries it to.
REPOSITORY = $(shell sed -n 's|^Repository = "https://github.com/\(.*\)"|\1|p' pyproject.toml)
NAMED_IN := README.md CONTRIBUTING.md CITATION.cff _config.yml book/index.md

# What a user keeps in the home folder (kernels, start-up files, matplotlibrc, keras.json) must
# not decide what a page or a test shows. `make lab` alone takes the user's own settings.
unexport PYTHONPATH PYTHONHOME MPLBACKEND MATPLOTLIBRC COURSE_SEED KERAS_BACKEND
# In a hook git sets GIT_DIR and others, by which every git below works on the caller's repository.
unexport $(filter GIT_%,$(.VARIABLES))
isolated = env PATH="$(CURDIR)/$(1)/bin:$$PATH" \
	IPYTHONDIR="$(CURDIR)/$(1)/var/ipython" \
	JUPYTER_CONFIG_DIR="$(CURDIR)/$(1)/var/jupyter" \
	JUPYTER_DATA_DIR="$(CURDIR)/$(1)/var/jupyter" \
	JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PATH= \
	KERAS_HOME="$(CURDIR)/$(1)/var/keras" \
	MPLCONFIGDIR="$(CURDIR)/$(1)/var/matplotlib"
ISOLATED := $(call isolated,.venv)
# nbval tries the chapters there, and keeps there what their cells train.
NBVAL := _build/nbval
TRIED := COURSE_PROFILE=ci COURSE_RUNS_DIR="$(CURDIR)/$(NBVAL)/runs"

.PHONY: help book serve lab test check lint unit chapters site test-backends test-colab test-lowest \
	verify bench record format chapter pages lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- read ---------------------------------------------------------------------------------------

book: $(READY) ## build the book from its stored outputs; RUN=1 runs all of it on built-in pictures
	@$(ISOLATED) $(BIN)/python tools/build_book.py $(if $(RUN),--run)

serve: $(READY) ## show the built book on http://localhost:8000 (PORT=…)
	@test -f _build/html/index.html || { echo "There is no book yet: run make book"; exit 1; }
	@echo "http://localhost:$(PORT)  (stop with Ctrl-C)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT) >/dev/null 2>&1 || \
		{ echo "Stopped. If the port is taken: make serve PORT=8001"; exit 1; }

lab: $(READY) ## open the chapters in JupyterLab (LAB=--no-browser, …)
	@JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab $(LAB) book

# --- test ---------------------------------------------------------------------------------------

# In order of patience: seconds, then minutes. Each step begins when the one before it has passed.
test: ## everything that CI runs
	@$(MAKE) --no-print-directory lint verify unit
	@$(MAKE) --no-print-directory book RUN=
	@$(MAKE) --no-print-directory chapters site

check: lint ## lint and fast tests
	@$(ISOLATED) $(PYTEST) -n 2 --dist loadgroup -m "not slow" tests --ignore tests/site

lint: $(READY)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Not formatted: run make format"; exit 1; }
	@$(CHAPTERS) --check book
	@$(BIN)/python tools/vendor.py --check

unit: $(READY)
	@$(ISOLATED) $(PYTEST) -n 2 --dist loadgroup tests --ignore tests/site

# Each chapter once, its solutions at the end; by file, since the cells of one share a kernel.
chapters: $(READY)
	@rm -rf $(NBVAL)
	@$(ISOLATED) $(BIN)/python tools/pages.py --nbval $(NBVAL)
	@$(ISOLATED) $(TRIED) $(PYTEST) --nbval-lax -n 2 --dist loadfile --nbval-cell-timeout=300 \
		--nbval-sanitize-with tools/nbval.cfg $(NBVAL)

site: $(READY)
	@$(ISOLATED) $(PYTEST) -n 2 --dist loadgroup -rs tests/site

# PyTorch is large and has builds of its own for the CPU, so it is not among the locked packages.
test-backends: $(READY) .venv/.torch ## every network on JAX and PyTorch too; PyTorch's weights
	@for backend in jax torch; do \
		echo "Keras on $$backend"; \
		$(ISOLATED) KERAS_BACKEND=$$backend $(PYTEST) -n 2 \
			tests/unit/test_backends.py tests/unit/test_signals.py || exit 1; done
	@$(ISOLATED) $(PYTEST) tests/unit/test_pretrained.py

.venv/.torch: $(READY)
	@echo "Installing $(TORCH), the build for the CPU, into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 \
		--extra-index-url https://download.pytorch.org/whl/cpu "$(TORCH)"
	@touch $@

# Two environments of other versions, made anew each time. What a package deprecated since is
# nothing that we can mend there.
ELSEWHERE := -m pytest -p no:cacheprovider -W ignore::DeprecationWarning

test-colab: | $(BIN)/uv ## on Colab's versions: first cell, training, chapters
	@rm -rf .venv-colab
	@$(BIN)/uv venv --quiet --seed --python "$(COLAB_PYTHON)" .venv-colab
	@echo "Installing Colab's packages into .venv-colab, on" \
		"$$(.venv-colab/bin/python --version) (Colab has Python 3.13)"
	@$(BIN)/uv pip install --quiet --python .venv-colab/bin/python -r tests/environments/colab.txt
	@$(BIN)/uv pip install --quiet --python .venv-colab/bin/python --target .venv-colab/driver \
		$$(grep -E '^(msgspec|filelock)==' requirements.lock)
	@mkdir -p .venv-colab/var
	@$(call isolated,.venv-colab) PYTHONPATH="$(CURDIR)/.venv-colab/driver" \
		.venv-colab/bin/python $(ELSEWHERE) tests/environments/colab.py

# What reads and trains; the tools, the pages and the other backends have versions of their own.
MODELS := $(filter-out __init__ graph pretrained,$(basename $(notdir $(wildcard course_lib/models/*.py))))
CORE := $(MODELS) models graph counting experiments schedules synthetic cifar10 tiny_imagenet hdf5 \
	augment feeding records tables checkpoints training evaluation signals figures palette plots \
	diagrams explorer
test-lowest: | $(BIN)/uv ## on the lowest versions that pyproject.toml allows: core of the unit tests
	@rm -rf .venv-lowest
	@$(BIN)/uv venv --quiet --python "$(LOWEST_PYTHON)" .venv-lowest
	@echo "Installing the lowest versions into .venv-lowest, on" \
		"$$(.venv-lowest/bin/python --version) (the lowest is Python 3.11)"
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e .
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python \
		$$(grep -E '^(pytest|pytest-xdist|hypothesis)==' requirements.lock)
	@mkdir -p .venv-lowest/var
	@$(call isolated,.venv-lowest) .venv-lowest/bin/python $(ELSEWHERE) -n 2 \
		tests/environments/lowest.py $(wildcard $(CORE:%=tests/unit/test_%.py))

verify: $(READY) ## every record and number in the book; RUNS=folder: your runs against the records
	@$(ISOLATED) $(BIN)/python tools/verify.py $(if $(RUNS),--runs "$(RUNS)")

bench: $(READY) ## speed, side by side with what was there before
	@for script in tests/benchmarks/bench_*.py; do \
		$(ISOLATED) $(BIN)/python $$script || exit 1; done

# --- record -------------------------------------------------------------------------------------

record: $(READY) ## work off data/queue.txt in the background of other work; MINUTES=150 stops in time
	@$(ISOLATED) $(BIN)/python tools/record.py --minutes "$(MINUTES)" --jobs "$(JOBS)"

# --- maintain -----------------------------------------------------------------------------------

format: $(READY) ## bring code and notebooks into form; carry the repository's address
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .
	@OURS=$(REPOSITORY) perl -pi -e '($$owner, $$name) = split "/", $$ENV{OURS}; \
		s{(github\.com/|google\.com/github/)[\w-]+/[\w-]+}{$$1$$owner/$$name}g; \
		s{[\w-]+\.github\.io/[\w-]+}{lc($$owner) . ".github.io/$$name"}ge' $(NAMED_IN)
	@$(CHAPTERS) book

chapter: $(READY) ## the skeleton of a chapter: N=14 NAME="Why it works"
	@$(BIN)/python tools/chapter.py "$(N)" "$(NAME)"

pages: $(READY) ## run chapters on real data, store what they show; CHAPTER=03, DATA=folder, RECORDED=1
	@$(ISOLATED) $(BIN)/python tools/pages.py $(CHAPTER) $(if $(RECORDED),--recorded) \
		$(if $(DATA),--data "$(DATA)")

lock: $(BIN)/uv ## write requirements.lock anew; LOCK=--upgrade takes newer versions
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 $(LOCK) \
		requirements.txt -o requirements.lock

clean: ## remove the built book and the environments; data/ stays
	@rm -rf _build .venv .venv-* .pytest_cache .ruff_cache .hypothesis *.egg-info

# --- set up -------------------------------------------------------------------------------------

$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing the locked packages into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@mkdir -p .venv/var && touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv module" \
			"(on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
