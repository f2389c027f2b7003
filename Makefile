# Everything here needs python3, make and, for the first `make setup`, a package index.
# PYTHON=... chooses the interpreter of an environment that does not exist yet.

PYTHON ?= python3

SHELL := /bin/sh
OLDEST = 'tensorflow-cpu==2.20.*; platform_machine in "x86_64 AMD64"' \
	'tensorflow==2.20.*; platform_machine not in "x86_64 AMD64"' 'keras==3.10.*'

# Two processes, each file in one of them. In the order of collection: by the number of their tests,
# files of few and long ones would come last.
TWO = -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup setup-oldest setup-tpu lint test test-fast test-slow test-tpu test-extras demo clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1: \2/p' $(MAKEFILE_LIST)

setup: .venv/setup.stamp  ## Make the environment .venv with everything for use, tests and lint.

setup-oldest: .venv-oldest/setup.stamp  ## Make the environment .venv-oldest with the oldest supported TensorFlow.

setup-tpu: .venv-tpu/setup.stamp .venv-tpu-2.19/setup.stamp  ## Make the environments with TensorFlow's wheels for TPU; Python before 3.13.

.venv/setup.stamp: REQUIREMENTS = -e '.[cpu,figures,test,lint]'
.venv-oldest/setup.stamp: REQUIREMENTS = -e '.[cpu,figures,test]' $(OLDEST)
.venv-tpu/setup.stamp: REQUIREMENTS = -e '.[tpu,figures,test]'
.venv-tpu-2.19/setup.stamp: REQUIREMENTS = -e '.[tpu-2.19,figures,test]'

# A missing stamp means a new or an interrupted environment: begin with an empty one.
# A stamp older than setup.py means a finished environment: install what changed.
.venv/setup.stamp .venv-oldest/setup.stamp .venv-tpu/setup.stamp .venv-tpu-2.19/setup.stamp: \
		%/setup.stamp: setup.py
	if [ -e $@ ]; then rm $@; else $(PYTHON) -m venv --clear $*; fi
	$*/bin/python -m pip install --progress-bar off --upgrade pip
	$*/bin/python -m pip install --progress-bar off $(REQUIREMENTS)
	$*/bin/python -m pip check
	$*/bin/python -m pip list --format=freeze > $@

lint: setup  ## Check style and formatting.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

test: export TF_CPP_MIN_LOG_LEVEL = 2
test: setup setup-oldest  ## Run all tests, then the fast ones on the oldest supported TensorFlow.
	@status=0; \
	echo "=== All tests: .venv ==="; \
	.venv/bin/python -m pytest $(TWO) || status=1; \
	echo "=== Fast tests, oldest supported TensorFlow: .venv-oldest ==="; \
	.venv-oldest/bin/python -m pytest $(TWO) -m fast || status=1; \
	if [ $$status -ne 0 ]; then echo "=== make test: FAILED, see above ==="; fi; \
	exit $$status

test-fast: export TF_CPP_MIN_LOG_LEVEL = 2
test-fast: setup  ## Run the fast tests only.
	.venv/bin/python -m pytest $(TWO) -m fast

test-slow: export TF_CPP_MIN_LOG_LEVEL = 2
test-slow: export NNGP_TF_FUZZ_CASES = 100000
test-slow: setup  ## Run the tests that `make test` leaves out (whole studies, 100,000 cases of each fuzzer): a quarter of an hour.
	.venv/bin/python -m pytest --timeout=0 --durations=0 --durations-min=1 -m "long or fuzz"

test-tpu: export TF_CPP_MIN_LOG_LEVEL = 2
# Or each import would wait for Google Cloud's metadata server.
test-tpu: export TPU_SKIP_MDS_QUERY = 1
test-tpu: setup setup-tpu  ## Without a TPU: lower for one and run the fast tests with the wheels for TPU, and compile ahead of time.
	@status=0; \
	for environment in .venv-tpu .venv-tpu-2.19; do \
		echo "=== Programs lowered for a TPU: $$environment ==="; \
		$$environment/bin/python -m pytest -m tpu tests/devices || status=1; \
		echo "=== Fast tests, the TPU left alone as by launchers that ask for none: $$environment ==="; \
		TPU_LOAD_LIBRARY=0 $$environment/bin/python -m pytest $(TWO) -m fast || status=1; \
	done; \
	echo "=== Ahead-of-time compiles: .venv-preflight ==="; \
	.venv/bin/python -m pytest -m "slow or long" tests/launchers/tpu_preflight_test.py || status=1; \
	if [ $$status -ne 0 ]; then echo "=== make test-tpu: FAILED, see above ==="; fi; \
	exit $$status

test-extras: export TF_CPP_MIN_LOG_LEVEL = 2
test-extras:  ## Install the wheel with each extra in an environment of its own, and use it; EXTRAS="cpu cpu,beam" for some.
	$(PYTHON) -m tests.packaging.extras $(EXTRAS)

demo: export TF_CPP_MIN_LOG_LEVEL = 2
demo: setup  ## Score, train and compare 24 small networks on scikit-learn's digits, afresh, into runs/demo.
	rm -rf runs/demo
	.venv/bin/python -m launchers.nngp_inference --gin_file=configs/demo.gin --run_dir=runs/demo/nngp
	.venv/bin/python -m launchers.short_training --gin_file=configs/demo_training.gin --run_dir=runs/demo/short
	.venv/bin/python -m launchers.short_training --gin_file=configs/demo_training.gin \
		--gin_param="short_training.num_epochs = 6" --gin_param="short_training.report_epochs = (6,)" \
		--run_dir=runs/demo/long
	.venv/bin/python -m launchers.compare --run=nngp=runs/demo/nngp --run=short=runs/demo/short \
		--run=long=runs/demo/long --out=runs/demo/report

clean:  ## Remove the environments and all that was built; keep runs/.
	rm -rf .venv .venv-oldest .venv-tpu .venv-tpu-2.19 .venv-preflight .venv-beam .venv-fuzz build dist *.egg-info .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
