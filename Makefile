# Targets: demo, test, lint, format, docs. Each makes .venv with what it needs; nothing has to be installed before.
PYTHON ?= python3
BIN := .venv/bin
DEMO := ros,simulation
TEST := $(DEMO),training,test

.PHONY: demo test lint format docs
.DELETE_ON_ERROR:

# make demo [BAG=recording | VISIBLE=folder THERMAL=folder] [OUT=folder]
demo: .venv/ready-for-demo
	@$(BIN)/ldfusion demo $(if $(OUT),--output '$(OUT)') $(if $(BAG),--bag '$(BAG)') \
	    $(if $(VISIBLE),--visible '$(VISIBLE)') $(if $(THERMAL),--thermal '$(THERMAL)')

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: .venv/ready-for-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready-for-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is generated in README.md, docs and config.
docs: .venv/ready-for-test
	$(BIN)/python docs/generate.py

.venv/ready-for-demo: EXTRAS := $(DEMO)
.venv/ready-for-test: EXTRAS := $(TEST)
.venv/ready-for-%: setup.cfg setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo '$(PYTHON) is missing or not Python 3.10 to 3.13, for which there are ROS 2 wheels;' \
	         'name another: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { \
	    echo '$(PYTHON) has no venv module: apt install python3-venv'; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo 'Installing into .venv; this takes a few minutes the first time.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@
