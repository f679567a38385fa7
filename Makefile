# The commands of Headroom. `make help` lists them; the README explains the two that matter: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= release
BUILD := build/$(PRESET)
# ctest keeps 1 kB of a test that passes, and what it left out may be said later.
WHOLE_OUTPUT := --test-output-size-passed 4000000
PROGRAMS := headroomd headroomctl headroom-node headroom-agent headroom-load
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

.PHONY: help deps deps-bench deps-peers configure build demo test test-peers test-e2e test-asan swarm bench model-errors confusion packages test-packages manifests format tidy clean image test-chart

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

deps: ## Install what is missing (Debian packages, by apt)
	@deploy/deps.sh $(DEPS)

deps-bench:
	@deploy/deps.sh dependencies.txt dependencies-bench.txt

deps-peers:
	@deploy/deps.sh dependencies.txt dependencies-peers.txt

configure: deps
	@[ -f $(BUILD)/build.ninja ] || cmake --preset $(PRESET)

build: configure ## Build the programs into build/release/bin
	@cmake --build $(BUILD) --target $(PROGRAMS)

demo: build ## Replay the outage on real processes: without Headroom, then with it (DEMO=short: the quick form; RUNS=3: medians)
	@deploy/demo/demo.py $(if $(DEMO),--form $(DEMO)) $(if $(RUNS),--runs $(RUNS)) $(if $(CHART),--chart $(CHART))

test: configure ## Build and run the tests
	@cmake --build $(BUILD)
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS) -LE 'bench|peers' $(WHOLE_OUTPUT) --output-junit tests.xml

test-peers: deps-peers build ## Test against a real Kubernetes API server, etcd and moto's AWS (Go builds the first, once, in minutes)
	@tests/peers/build
	@cmake --build $(BUILD) --target conformance_peers_test
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -L peers $(WHOLE_OUTPUT) --output-junit tests-peers.xml; told=$$?; \
	  sed -n 's/.*\(NOT TESTED.*\)/\1/p' $(BUILD)/tests-peers.xml | sort -u; exit $$told

test-asan: ## The unit tests under address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory PRESET=asan deps
	@[ -f build/asan/build.ninja ] || cmake --preset asan
	@cmake --build build/asan
	@ctest --test-dir build/asan --output-on-failure --no-tests=error -j $(JOBS) -L 'unit|scenario'

swarm: configure ## Random clusters under random faults, each from a seed (SEEDS=n: how many, FIRST=n: from which)
	@cmake --build $(BUILD) --target headroom-swarm
	@$(BUILD)/bin/headroom-swarm --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),1) --threads $(JOBS)

bench: deps-bench configure ## Measure speed beside its limits; writes build/bench/summary.json
	@cmake --build $(BUILD)
	@tests/bench/run.py

model-errors: configure ## Hold both models of a cluster against the last run of the demo
	@cmake --build $(BUILD) --target model_errors
	@tests/bench/model_errors.py

confusion: configure ## Measure diagnosis on simulated incidents of known cause (docs/diagnosis.md)
	@cmake --build $(BUILD) --target confusion_test
	@HEADROOM_CONFUSION_SEEDS=$${SEEDS:-50} HEADROOM_CONFUSION_FIRST=$${FIRST:-1} HEADROOM_CONFUSION_MAKER=$${MAKER:-} \
	  $(BUILD)/bin/confusion_test

packages: ## Debian packages (and their check by lintian) into build/release/packages
	@$(MAKE) --no-print-directory DEPS="dependencies.txt dependencies-packages.txt" configure
	@cmake -S . -B $(BUILD) >/dev/null
	@cmake --build $(BUILD) --target $(PROGRAMS) manuals
	@cd $(BUILD) && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) cpack --config CPackConfig.cmake
	@lintian --fail-on error $(BUILD)/packages/*.deb

test-chart: build ## Render the Helm chart and look at it, with a helm that Go builds into build/peers
	@tests/peers/build helm
	@HEADROOM_BIN=$(BUILD)/bin python3 tests/deploy/kubernetes/manifests_test.py

test-packages: packages ## Install, run and purge the packages in a fresh Debian 12 (root; mmdebstrap and systemd-nspawn)
	@tests/packages/fresh_root_test.py $(BUILD)/packages || [ $$? -eq 77 ]

image: ## The OCI image, made of the packages of `make packages` (root; mmdebstrap and buildah)
	@deploy/image/build.sh $(BUILD)/packages

manifests: build ## Make the generated files of deploy/ anew: the CRD and the one-file install
	@deploy/manifests.sh

format: ## Format our own code
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

tidy: configure ## clang-tidy on our own code (all files)
	@CI_FULL=1 .ci/tidy

clean: ## Remove what was built
	@rm -rf build
