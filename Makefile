ROOMS   := $(wildcard conf storage keys flows idp tests benchmarks)
BIN     := .venv/bin
ARGS    ?=
bench-size: ROWS ?= 10000000
bench-sweep: ROWS ?= 1000000

# pip-tools is a tool of whoever updates the locks, so it stays out of .venv.
LOCK    := $(CURDIR)/build/lock
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(LOCK)/bin/pip-compile --quiet \
	--generate-hashes --strip-extras --allow-unsafe --build-deps-for editable \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-quick bench-scaling bench-keys bench-size bench-sweep drill-keys drill-sms drill-failover bench-journeys lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  Arguments are passed on: make test ARGS="-k refresh -x"'

run: ## install what is missing, then start the server for development on this machine
	@scripts/install.sh run
	@exec $(BIN)/idp dev $(ARGS)

test: ## install what is missing, then run the tests
	@scripts/install.sh test
	@$(BIN)/python3 -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: ## lint, formatting, types, Lua
	@scripts/install.sh test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(ROOMS)
	@if command -v luacheck >/dev/null; then echo luacheck storage/lua; luacheck --quiet --no-color storage/lua; \
	else echo 'luacheck is not installed: the Lua files were not checked'; fi

format: ## put the code into its form and repair what ruff can repair
	@scripts/install.sh test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: ## measure this machine, and other servers beside it; see benchmarks/README.md
	@scripts/install.sh bench
	@$(BIN)/python3 -m benchmarks $(ARGS)

bench-quick: ## compare the refresh path with the floors in benchmarks/floors.toml, in a minute
	@scripts/install.sh bench
	@$(BIN)/python3 -m benchmarks.quick $(ARGS)

bench-scaling: ## what a request costs as workers, connections, customers and clients grow; and overload
	@scripts/install.sh bench
	@$(BIN)/python3 -m benchmarks.scaling $(ARGS)

bench-journeys: ## measure whole sign-ins, each with a message to a phone
	@scripts/install.sh bench
	@$(BIN)/python3 -m benchmarks.journeys $(ARGS)

bench-keys: ## measure what signing, verifying, encrypting and sealing cost
	@scripts/install.sh run
	@$(BIN)/python3 -m benchmarks.keys $(ARGS)

bench-size: ## measure what ROWS customers cost in memory and time; ARGS="--active N" for fewer sessions
	@scripts/install.sh run
	@$(BIN)/python3 -m benchmarks.size --rows $(ROWS) $(ARGS)

bench-sweep: ## measure whether requests feel the sweep of ROWS expired rows
	@scripts/install.sh bench
	@$(BIN)/python3 -m benchmarks.sweep --rows $(ROWS) $(ARGS)

drill-keys: ## rotate and revoke signing keys under load; ARGS=--unsafe shows that it can fail
	@scripts/install.sh run
	@$(BIN)/python3 -m benchmarks.drill $(ARGS)

drill-sms: ## let attackers pump messages beside honest customers, with a simulated clock
	@scripts/install.sh run
	@$(BIN)/python3 -m benchmarks.drill_sms $(ARGS)

drill-failover: ## lose the store's writer under load, in three ways, and look for what was acknowledged
	@scripts/install.sh run
	@$(BIN)/python3 -m benchmarks.drill_failover $(ARGS)

lock: ## pin what pyproject.toml asks for, with hashes; ARGS=--upgrade takes the newest of everything
	@scripts/install.sh run
	@$(BIN)/python3 -m venv --clear $(LOCK)
	@$(LOCK)/bin/python3 -m pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	$(COMPILE) $(ARGS) --output-file requirements.lock pyproject.toml
	$(COMPILE) $(ARGS) --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

clean: ## remove what can be made again; the data in var/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(ROOMS) -name __pycache__ -type d -prune -exec rm -rf {} +
