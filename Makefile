# One command for each thing a person does here. `make demo` and `make test` work on a fresh machine
# with Python 3.11 or newer and git; everything else is installed into .venv from requirements.lock.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
TESTS ?= tests
STORE ?= demo-store
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q

.PHONY: help setup demo test chaos lint format lock schemas readme wheel mutants bench clean

help:
	@echo "make demo     real agent runs become bills, in about a minute"
	@echo "make test     all tests (TESTS=tests/catalog for some)"
	@echo "make chaos    kills, stalls and faults on the real broker, at the machine's own timing"
	@echo "make setup    .venv with the unitrate command; the others do it by themselves"
	@echo "make lint     ruff, mypy, import contracts, schemas and compose file"
	@echo "make format   ruff's formatting and safe fixes"
	@echo "make schemas  write schemas/ from the models; make readme: the tour's output"
	@echo "make wheel    build the wheel, install it into a clean venv, run its demo"
	@echo "make mutants  plant known bugs; each must turn the tests red"
	@echo "make bench    throughput and memory, as ratios (N=1000000 events)"
	@echo "make lock     resolve the lock files anew"
	@echo "make clean    remove what was built (not .venv)"

setup: $(READY)

# uv comes first (by hash), then everything by name, version and hash; pip does it where uv cannot.
$(READY): requirements.lock requirements-bootstrap.lock pyproject.toml hatch_build.py $(wildcard src/unitrate/native/*.[ch])
	@test -n "$(PYTHON)" || { echo "unitrate needs Python 3.11 or newer on the PATH (or make PYTHON=…)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "unitrate needs Python 3.11 or newer; $(PYTHON) is older (make PYTHON=/path/to/python3.11)" >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --offline --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/unitrate demo --store $(STORE)

test: $(READY)
	@$(BIN)/python -m pytest $(TESTS)

chaos: $(READY)
	@$(BIN)/python -m pytest -m chaos tests/kafka

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m unitrate.catalog.schema --check
	$(BIN)/check-jsonschema --schemafile schemas/catalog.schema.json examples/*/catalog.yaml benchmarks/catalog.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(READY)
	$(BIN)/python -m unitrate.catalog.schema

readme: $(READY)
	$(BIN)/python tests/docs/test_tour.py

wheel: $(READY)
	$(BIN)/python .ci/wheel.py

mutants: $(READY)
	$(BIN)/python tests/mutants/run.py

N ?= 1000000
bench: $(READY)
	$(BIN)/python -m benchmarks.run --events $(N) $(BENCH)

lock: $(READY)
	$(COMPILE) --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements.lock pyproject.toml -o requirements-runtime.lock

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis demo-store bench-data
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
