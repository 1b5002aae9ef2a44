# hexi: make demo, make test. Needs git, make and python3 >= 3.11 with venv (or uv); the rest is set up here.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PATH := $(CURDIR)/.tools/bin:$(PATH)
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV
PYTHON := .venv/bin/python
PORT ?= 8700

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: .venv/.demo .tools/assets ## play the synthetic district on http://127.0.0.1:8700 (PORT=...)
	@$(PYTHON) -m hexi demo --port $(PORT)

test: check pytest ## everything that must hold: check, then all tests

check: .venv/.all ## ruff, formatting, mypy --strict, import rule
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

pytest: .venv/.all .tools/assets peers ## the tests alone (ARGS="-k fall" narrows them)
	@.venv/bin/pytest -n 2 --dist loadfile $(ARGS)

docs: .venv/.all .tools/assets ## write the generated reference pages and run every example of the docs
	@$(PYTHON) tools/reference.py
	@.venv/bin/pytest tests/docs

bench: .venv/.all .tools/assets ## races and limits, each printed beside its limit
	@for file in bench/[a-z]*.py; do $(PYTHON) -m "bench.$$(basename "$$file" .py)" $(ARGS); done

race: .venv/.all .tools/assets ## hexi beside Node-RED, Home Assistant, Alertmanager, Zabbix, bare limits
	@$(PYTHON) -m bench.race.setup
	@$(PYTHON) -m bench.race --page docs/reference/races.md $(ARGS)

soak: .venv/.all .tools/assets ## an hour of a simulated district with faults; fails unless all stays flat
	@$(PYTHON) -m bench.soak $(ARGS)

wheel: .venv/.all .tools/assets ## hexi's own wheel, its browser libraries inside, into dist/
	@$(PYTHON) tools/bundle.py --wheel --out dist

bundle: .venv/.all .tools/assets ## one archive that installs hexi without the net, into dist/
	@$(PYTHON) tools/bundle.py --out dist

assets: ## fetch the browser libraries anew and compile the translations
	@rm -f .tools/assets
	@$(MAKE) --no-print-directory .tools/assets

clean: ## remove all that these targets made, except var/
	@rm -rf .venv .tools node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache src/hexi/adapters/report/fonts src/hexi/web/static/vendor
	@find src tests bench tools -name __pycache__ -prune -exec rm -rf {} +
	@rm -f src/hexi/web/locale/*/LC_MESSAGES/*.mo

# One tool is fetched when it is not there: uv, into .tools.
.tools/uv:
	@mkdir -p .tools
	@command -v uv >/dev/null || { echo "uv is not installed; putting it into .tools"; \
		python3 -m venv .tools && .tools/bin/pip install --quiet uv; }
	@touch $@

.venv/.demo: .tools/uv uv.lock pyproject.toml
	@uv sync --frozen --no-default-groups --group assets --inexact --quiet
	@touch $@

.venv/.all: .tools/uv uv.lock pyproject.toml
	@uv sync --frozen --quiet
	@touch $@ .venv/.demo

.tools/assets: tools/assets.py package-lock.json $(wildcard src/hexi/web/locale/*/LC_MESSAGES/*.po) | .venv/.demo
	@$(PYTHON) tools/assets.py
	@touch $@

# What some tests run against, as package:program. By apt where that is possible; without them those tests skip
# aloud. RUNLEVEL keeps a service from starting by itself.
PEERS := chromium:chromium fonts-noto-cjk:chromium mosquitto:mosquitto mosquitto-clients:mosquitto_pub \
	prometheus:promtool prometheus-alertmanager:amtool nginx-light:nginx
peers:
	@missing=(); for peer in $(PEERS); do \
		command -v "$${peer#*:}" >/dev/null || missing+=("$${peer%%:*}"); done; \
	if [ $${#missing[@]} = 0 ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi; \
	echo "installing $${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } \
		>/dev/null 2>&1 || echo "could not install them; tests that need them will skip"

.PHONY: help demo test check pytest docs bench race soak wheel bundle assets clean peers
