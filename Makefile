# Each command sets up what it needs in .venv. A machine needs make and a Python of 3.11 or newer; the newest on PATH
# is taken unless PYTHON=... names another. ARGS=... is handed on, as in: make test ARGS='-k budget'

SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help run test test-nightly check bench docs man reference clean

# Under an empty environment the shell finds programs by a default that it does not hand on to them.
PATH ?= /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# These would lead Python out of .venv.
unexport PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 21

run: .venv/run.stamp ## run the plan of examples/quickstart, which ends with the command that replays it
	@.venv/bin/tek-runner run examples/quickstart/sot.md $(ARGS)

test: .venv/dev.stamp ## run the tests on every core
	@.venv/bin/python -m pytest -n auto $(ARGS)

test-nightly: .venv/dev.stamp ## run the tests, with as many examples, schedules and kills as a night takes
	@TEK_NIGHTLY=1 .venv/bin/python -m pytest -n auto $(ARGS)

check: .venv/dev.stamp ## lint, format, types, and the arrows between the packages
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/dev.stamp ## run every comparison in benchmarks/ and write benchmarks/RESULTS.md (ARGS=--quick: the small ones)
	@.venv/bin/python -m benchmarks $(ARGS)

docs: .venv/docs.stamp reference ## build the site of docs/ into site/
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet $(ARGS)
	echo 'The site is in site/: open site/index.html'

reference: .venv/dev.stamp ## generate docs/reference/, schemas/ and the man page from the code
	@.venv/bin/python -m tools.reference

man: reference ## show the man page
	@man -l man/tek-runner.1

clean: ## remove .venv, caches, and what the examples have written
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist site
	rm -rf examples/*/out examples/*/runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that its packages stand as pyproject.toml names them. An environment that was moved or copied here, or
# whose Python is gone, is made anew: it would run the code of the folder where it was made.
ifneq ($(shell [ -x .venv/bin/python ] && cat .venv/root 2>/dev/null),$(CURDIR))
.PHONY: .venv/run.stamp .venv/dev.stamp .venv/docs.stamp
endif

.venv/run.stamp: PACKAGES := .
.venv/dev.stamp: PACKAGES := .[dev]
.venv/docs.stamp: PACKAGES := .[docs]
.venv/run.stamp .venv/dev.stamp .venv/docs.stamp: pyproject.toml
	@exec 9<Makefile  # the lock of whoever sets up; what a second make waited for it need not do again
	if command -v flock >/dev/null; then flock 9; fi
	if [ -x .venv/bin/python ] && [ "$$(cat .venv/root 2>/dev/null)" = "$$(pwd -P)" ]; then
		if [ $@ -nt pyproject.toml ]; then exit 0; fi
	else
		$(call create_environment)
	fi
	echo 'Installing the packages that pyproject.toml names ...' >&2
	.venv/bin/python -m pip install -qq --editable '$(PACKAGES)'
	touch .venv/run.stamp $@

define create_environment
python=
for candidate in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		python=$$candidate
		break
	fi
done
if [ -z "$$python" ]; then
	echo 'No Python of 3.11 or newer was found on PATH. Install one, or name it: make PYTHON=/path/to/python3' >&2
	exit 1
fi
echo "Setting up .venv with $$("$$python" --version) ..." >&2
rm -rf .venv
if ! "$$python" -m venv .venv >/dev/null 2>&1 && ! {
	"$$python" -m venv --clear --without-pip .venv &&
	"$$python" -m pip --python .venv/bin/python install -qq pip
}; then
	rm -rf .venv
	echo "$$python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2
	exit 1
fi
pwd -P >.venv/root
endef
