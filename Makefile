# Targets: demo, test, lint, format, docs. Each makes .venv with what it needs; nothing has to be installed before.
PYTHON ?= python3
# Distribution of the ROS 2 wheels, kilted or jazzy, the latter in an environment before .venv. Without: kilted for demo, both for test.
ROS ?=
BIN := .venv/bin
HOME_OF_ROS := $(if $(filter jazzy,$(ROS)),.venv-jazzy,.venv)
# A distribution says its name; wheels don't, and Jazzy's Fast DDS reads other variables than Kilted's.
NAMED := $(if $(filter jazzy,$(ROS)),ROS_DISTRO=jazzy)
# uv takes a quarter of pip's time. Another index than PyPI is named by UV_DEFAULT_INDEX; pip's settings are not read.
INSTALL := $(BIN)/uv pip install --quiet
# Tests start some hundred programs, and each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
LIVE := test/ros test/bench test/training/demo
# What the node makes of an image is the same on all distributions, and was shown on Kilted.
SAME := camera_encodings camera_profiles examples node_published_depth
# A file in one process, for its tests share what takes long to make; in the order of test/conftest.py.
BY_FILE := --dist loadfile --no-loadscope-reorder
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
DEMO := ros,simulation
TEST := $(DEMO),training,test

.PHONY: demo test test-kilted test-jazzy lint format docs
.DELETE_ON_ERROR:

# make demo [ROS=jazzy] [BAG=recording | VISIBLE=folder THERMAL=folder] [OUT=folder]
demo: $(HOME_OF_ROS)/ready-for-demo
	@$(NAMED) $(HOME_OF_ROS)/bin/ldfusion demo $(if $(OUT),--output '$(OUT)') $(if $(BAG),--bag '$(BAG)') \
	    $(if $(VISIBLE),--visible '$(VISIBLE)') $(if $(THERMAL),--thermal '$(THERMAL)')

# make test [ROS=kilted | ROS=jazzy]: everything on Kilted, then the live tests on Jazzy, or one of the two.
test: $(addprefix test-,$(or $(ROS),kilted jazzy))

# While one processor lints, the other compiles what the tests import: each process of pytest would do so by itself.
test-kilted: .venv/ready-for-test
	$(LINT) & lint=$$!; $(BIN)/python -m pytest --collect-only -qq > /dev/null 2>&1; wait $$lint
	$(BIN)/python -m pytest -n 3 $(BY_FILE)

test-jazzy: .venv-jazzy/ready-for-test $(if $(ROS),,test-kilted)
	ROS_DISTRO=jazzy .venv-jazzy/bin/python -m pytest -n 2 $(BY_FILE) $(LIVE) $(SAME:%=--ignore=test/ros/test_%.py)

lint: .venv/ready-for-test
	$(LINT)

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
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@echo 'Installing into .venv; this takes a few minutes the first time.'
	@$(INSTALL) --python $(BIN)/python --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

# Jazzy's wheels have the names of Kilted's, so that the two can't share an environment. All else is taken from .venv.
.venv-jazzy/ready-for-%: .venv/ready-for-% jazzy.txt
	@test -x .venv-jazzy/bin/python || $(BIN)/python -m venv .venv-jazzy
	@$(INSTALL) --python .venv-jazzy/bin/python --requirement jazzy.txt
	@$(INSTALL) --python .venv-jazzy/bin/python --no-deps --editable .
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(.venv-jazzy/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth"
	@touch $@
