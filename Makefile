# `make` alone lists the targets. Everything installs into .venv; nothing else on the machine is changed,
# but for Debian's chromium package, which the browser tests need (said before it is installed).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= digits
CLUSTER ?= minicluster
KEEP ?=
PARTS := crds operator server_image trainer_image cli
INSTALLED := $(VENV)/.installed
TOOLS := .cache/bin
CHROMIUM = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTEST := $(BIN)/python -m pytest
ENGINE ?= $(notdir $(firstword $(foreach engine,buildah podman docker,$(shell command -v $(engine)))))
IMAGES ?= operator server trainer
IMAGE_PREFIX ?= autotrain
PYTHON_IMAGE ?= python:3.11-slim
TORCH_INDEX ?=
BUILD_FLAGS ?=
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' operator/pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: bench-serving bench-recipes engine help install tools browser demo test soak unit contract check format pins stores sync images push clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## install everything that is pinned into .venv

$(INSTALLED): requirements.txt $(PARTS:%=%/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(PARTS:%=-e ./%)
	touch $@

tools: install ## find kubectl and helm, or fetch them
	@PYTHONPATH=tests $(BIN)/python -m minicluster.binaries --into $(TOOLS)

browser: ## install Debian's chromium, if there is no browser for the tests
	@if [ -z "$(CHROMIUM)" ]; then \
	  echo "The browser tests need chromium; installing Debian's package (apt-get)."; \
	  $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi

demo: tools ## train on handwritten digits and serve the model (KEEP=1 leaves it running, DATA=fashion-mnist, CLUSTER=current IMAGE_PREFIX=...)
	@PYTHONPATH=tests $(BIN)/python examples/demo.py --data $(DATA) --cluster $(CLUSTER) --image-prefix $(IMAGE_PREFIX) $(if $(KEEP),--keep)

stores: install ## install moto's server, the S3 API of the tests, into an environment of its own
	@PYTHONPATH=tests $(BIN)/python -c 'import object_store; object_store.install()'

test: tools browser stores check ## install what is missing and run everything that CI runs
	$(PYTEST) tests/unit tests/contract tests/minicluster tests/cluster tests/e2e tests/browser

soak: install ## long runs: memory lost again and again, 25 kills, 10,000 damaged uploads, the API by its document (15 minutes)
	$(PYTEST) -m soak tests/cluster tests/contract

unit: install ## the inner loop, in seconds
	$(PYTEST) -q tests/unit

contract: install ## do the parts agree, are examples and docs true? What trains a model for that runs in `make test` only
	$(PYTEST) -q -m "not torch" tests/contract

check: tools ## lint, types, direction of imports, chart
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@PYTHONPATH=tests $(BIN)/python -m minicluster.binaries --into $(TOOLS) --run helm lint --strict charts/autotrain-operator

bench-serving: install ## this server against its peers, 20 quiet minutes (QUICK=1: two; TUNE=1 searches their settings first)
	test -d .cache/bench/packages || $(BIN)/python -m pip install --quiet --no-deps --target .cache/bench/packages -r benchmarks/requirements.txt
	@$(BIN)/python -m benchmarks.serving $(if $(QUICK),--quick) $(if $(TUNE),--tune)

bench-recipes: install ## what the recipes reach in ten minutes on two processors (ONLY=detection: one of them)
	@$(BIN)/python -m benchmarks.recipes $(ONLY)

format: install ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --no-annotate --quiet \
  --no-emit-package autotrain-api --no-emit-package autotrain-operator --no-emit-package autotrain-server \
  --no-emit-package autotrain-trainer --no-emit-package autotrain-cli --custom-compile-command "make pins"
HASHED = $(COMPILE) - --constraint requirements.txt --generate-hashes --output-file
TORCH = $(shell grep -oE '^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==' requirements.txt | tr -d =)

pins: install ## resolve requirements.in again, and from it what each image holds
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(COMPILE) requirements.in --upgrade --output-file requirements.txt
	printf './crds\n./operator\n' | $(HASHED) operator/requirements.txt
	printf './crds\n./server_image\n' | $(HASHED) server_image/requirements.txt
	printf './crds\n./server_image\n./trainer_image\n' | $(HASHED) trainer_image/requirements.txt $(TORCH:%=--no-emit-package %)
	printf 'torch\ntorchvision\n' | $(HASHED) trainer_image/requirements-torch.txt
	echo setuptools | $(HASHED) requirements-build.txt

sync: install ## copy the CRD into the chart and write what is generated
	cp crds/trainingjobs.autotrain.dev.yaml charts/autotrain-operator/files/
	$(BIN)/python -m autotrain_trainer.backbones
	PYTHONPATH=tests $(BIN)/python tests/contract/states.py

images: engine $(IMAGES:%=image-%) ## build the images with buildah, podman or docker (ENGINE, IMAGES, IMAGE_PREFIX, PYTHON_IMAGE, TORCH_INDEX, BUILD_FLAGS)
	@for image in $(IMAGES); do $(ENGINE) images $(IMAGE_PREFIX)/$$image:$(VERSION); done

engine:
	@test -n "$(ENGINE)" || { echo "no buildah, podman or docker is installed; install one, or name a program with ENGINE=..." >&2; exit 1; }

push: engine $(IMAGES:%=push-%) ## push the images to the registry of IMAGE_PREFIX

push-%:
	$(ENGINE) push $(IMAGE_PREFIX)/$*:$(VERSION)

image-stand-in-%: # what plays trainer and server in tests/cluster on a real cluster
	$(ENGINE) build $(BUILD_FLAGS) --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg PART=$* \
	  --tag $(IMAGE_PREFIX)/stand-in-$*:$(VERSION) tests/cluster/standins

image-%:
	$(ENGINE) build $(BUILD_FLAGS) --file $(firstword $(wildcard $*/Dockerfile $*_image/Dockerfile)) \
	  --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	  $(if $(filter trainer,$*),--build-arg TORCH_INDEX=$(TORCH_INDEX)) --tag $(IMAGE_PREFIX)/$*:$(VERSION) .

clean: ## remove what running leaves behind, but not .venv
	rm -rf .demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
