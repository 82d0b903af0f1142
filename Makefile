# Two commands matter: `make reproduce` and `make test`. Each makes the environment first if it is missing or out of date.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
.DEFAULT_GOAL := help
.PHONY: help reproduce test lab check docs readme sync bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

reproduce: $(STAMP)  ## run every experiment at the quick preset, with one seed; print the tables, write the figures (CPU, minutes)
	@$(BIN)/transfer_nb reproduce --preset quick --seeds 1

test: $(STAMP)  ## all checks, then every notebook as a test
	@$(BIN)/python tools/run_tests.py

lab: $(STAMP)  ## open JupyterLab
	@$(BIN)/jupyter lab $$([ "$$(id -u)" = 0 ] && echo --allow-root) nbs/index.ipynb

check: $(STAMP)  ## all checks but the notebooks themselves (about a minute)
	@$(BIN)/python tools/check.py

docs: $(STAMP)  ## HTML pages in _docs
	@$(BIN)/python tools/docs.py

readme: $(STAMP)  ## README.md from nbs/index.ipynb
	@$(BIN)/python tools/readme.py

sync: $(STAMP)  ## after an edit: format and clean the notebooks, export the modules, render README.md
	@$(BIN)/ruff format --quiet nbs tools setup.py
	@$(BIN)/nbdev_clean
	@$(BIN)/nbdev_export
	@$(BIN)/python tools/readme.py

bench: $(STAMP)  ## how fast the training loop is on this machine
	@$(BIN)/transfer_nb bench

clean:  ## remove what can be made again, except the environment, records and figures
	@rm -rf _docs _proc build dist *.egg-info .mypy_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -print0 | xargs -0r rm -rf

# The first Python that is new enough and can make environments. Its own installer does the rest.
$(STAMP): settings.ini setup.py pyproject.toml tools/install.py
	@new=; for p in $(PYTHON) python3.11 python3.12 python3.13 python3 python3.14 python; do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; new=$$p; \
	  "$$p" -c 'import venv, ensurepip' 2>/dev/null || continue; \
	  echo "Installing into $(VENV) (once):"; exec "$$p" tools/install.py $(VENV); done; \
	if [ -n "$$new" ]; then \
	  echo "$$new cannot make virtual environments: its venv module is missing. On Debian or Ubuntu: sudo apt install python3-venv"; \
	else echo "Python 3.11 or newer is needed and was not found. Have one elsewhere? make PYTHON=/path/to/python3.11 ..."; fi >&2; exit 1
