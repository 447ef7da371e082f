# `make demo` and `make test` need nothing but git, Python 3.11 or newer, make and, for the sandbox, root
# on Debian or Ubuntu. With SANDBOX=off both use the cluster of KUBECONFIG instead.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo demo-agent test lint fix docs lock wheel clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(INSTALLED) ## Deploy the example shop to a real cluster, break it, and see what codexctl says
	@$(BIN)/python examples/demo.py

demo-agent: $(INSTALLED) ## Let an agent work on an Issue of the shop, without a key; with HOLD=1 you can go on by hand
	@$(BIN)/python examples/demo_agent.py

test: $(INSTALLED) lint ## Check style, types and layers, then run every test, the demo included
	@$(BIN)/python -m sandbox build
	@$(BIN)/pytest --numprocesses 4 --dist loadfile

lint: $(INSTALLED) ## Check style, types, layers and workflows
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/actionlint .github/workflows/*.yml examples/*/.github/workflows/*.yml
	@$(BIN)/zizmor --offline --persona pedantic --no-progress --quiet .github examples/*/.github/workflows/*.yml \
	    > $(VENV)/zizmor.log || { cat $(VENV)/zizmor.log; exit 1; }
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

fix: $(INSTALLED) ## Format the code and mend what can be mended mechanically
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

docs: $(INSTALLED) ## Write the references of services.yaml, of the hooks and of the workflows anew
	@$(BIN)/python -c 'from codexctl_tasks.stack.reference import reference; print(reference(), end="")' \
	    > docs/services-yaml.md
	@$(BIN)/python -c 'from codexctl_tasks.hooks.reference import reference; print(reference(), end="")' \
	    > docs/hooks.md
	@$(BIN)/python -m tests.workflows.reference

lock: $(INSTALLED) ## Pin the newest allowed versions of all dependencies, with hashes and without addresses
	@$(BIN)/pip install --quiet pip-tools
	@for extra in "" dev; do \
	    $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header \
	        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	        $${extra:+--extra $$extra} -o requirements$${extra:+-$$extra}.txt pyproject.toml; \
	done
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --only-build-deps --build-deps-for wheel -o requirements-build.txt pyproject.toml

wheel: ## Build the wheel into dist/, install it elsewhere, and see that it starts
	@rm -rf dist build
	@$(PYTHON) -m venv build/venv
	@build/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements.txt -r requirements-build.txt
	@build/venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    --wheel-dir dist .
	@build/venv/bin/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	@cd build && venv/bin/codexctl --version && venv/bin/codexctl schema > /dev/null

clean: ## Stop the sandbox and remove what was made in this folder
	@$(PYTHON) -m sandbox down
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# The mark is written last, so that an installation that was cut off is done again.
$(INSTALLED): requirements-dev.txt pyproject.toml
	@$(PYTHON) -m sandbox prepare
	@echo "installing the Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
