# Aliases. `make run` and `make test` do all their set-up by themselves.
PYTHON ?= python3
ENVS ?= cpu-torch
# An exit code of 0 says that it ran and passed: a skip, which nox reports with 0, is a failure here.
export DLMATRIX_STRICT := 1

# Programs of .venv are called as modules: a program's first line is a shell's where the path has a blank, and takes a $
# in it for a variable.
.PHONY: help setup run test image-test faults gpu-test lint doctor clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: setup ## Build, verify and measure ENVS (default: cpu-torch): on Docker, else in a virtual environment
	$(if $(strip $(ENVS)),,$(error ENVS names no env: leave it out, or write ENVS=cpu-torch))
	@.venv/bin/python -m nox -s $(ENVS)

test: setup ## Run every test that needs no Docker engine
	@.venv/bin/python -m nox -s tests

image-test: setup ## Run the tests that need a Docker engine
	@.venv/bin/python -m nox -s image-tests

faults: setup ## Stage every fault once (signals, full disks, hostile text), and write docs/faults.md
	@.venv/bin/python -m tests.faults --write

gpu-test: setup ## Stage faults on this machine's GPU and measure it; PYTHON=… is the interpreter with PyTorch or TensorFlow
	@.venv/bin/python -m nox -s faults -- --python $(PYTHON)

doctor: setup ## Say why the GPU is not used
	@.venv/bin/python -m nox -s doctor

lint: setup ## Check style and types
	@.venv/bin/python -m nox -s lint

clean: ## Remove what the checkout made for itself (images stay)
	rm -rf .venv .nox .tox .dlmatrix

# The system's Python may have been removed since, or be another version now, which finds nothing in .venv.
setup: .venv/.tools ## Set up .venv from the hashed tool lock
	@test -x .venv/bin/python && \
	{ .venv/bin/python -c 'import importlib.util, sys; sys.exit(0 if importlib.util.find_spec("nox") else 3)' >/dev/null 2>&1; \
	test $$? != 3; } || \
	{ echo "the Python that .venv was made with is not here any more: it is made anew"; rm -rf .venv; \
	exec $(MAKE) --no-print-directory .venv/.tools; }

.venv/.tools: envs/locks/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "dlmatrix needs Python 3.10 or newer: make PYTHON=/path/to/python3")'
	@rm -f $@
	@if test -d bundle/wheels; then exec $(PYTHON) -m dlmatrix.bundle.setup; fi; \
	log=$$(mktemp); trap 'rm -f "$$log"; exit 130' INT; \
	terminal=; if test -t 1; then terminal=yes; fi; \
	number=$$(grep -c '^[a-z].*==' $<); echo "setting up .venv, once: up to $$number packages for $$($(PYTHON) -V)"; \
	{ $(PYTHON) -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
	  --require-hashes --requirement $< && touch $@; } 2>"$$log" | \
	awk -v terminal="$$terminal" '/^Collecting/ { n++; if (terminal) printf "\r%3d  %-50.50s", n, $$2; fflush() } END { if (n) print (terminal ? "" : n " collected") }'; \
	test -e $@ || cat "$$log" >&2; rm -f "$$log"; test -e $@
