# Tern's front door. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30
PACKAGES := deploy/packages/install

.DEFAULT_GOAL := release
.PHONY: help release demo test test-all lint format bench coverage fuzz image image-test clean

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

release:  ## Build everything, optimised, into build/release/bin (the default)
	@$(PACKAGES) build
	@deploy/build release

demo: release  ## Train, serve, upload, classify, measure: the whole path
	@$(PACKAGES) demo
	@deploy/demo/run

test:  ## Run the tests: all in release, unit tests under sanitizers
	@$(PACKAGES) build test
	@deploy/test

test-all:  ## make test plus everything long: soak, fuzzing, demo, containers, emulated CPUs
	@$(PACKAGES) build demo test long image
	@deploy/test --all

lint:  ## Check format, clang-tidy and the arrows between rooms
	@$(PACKAGES) build lint
	@deploy/lint

format:  ## Rewrite the sources in the project's format
	@$(PACKAGES) lint
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

bench: release  ## Engine benchmarks: ratios against oneDNN and the measured peak
	@build/release/bin/tern-bench

coverage:  ## Line coverage of engine and server by make test's release tests
	@$(PACKAGES) build test long
	@deploy/coverage

fuzz:  ## Run the fuzzers, FUZZ_SECONDS=30 each
	@$(PACKAGES) build long
	@deploy/fuzz $(FUZZ_SECONDS)

image:  ## Build the container image `tern`, with whichever container tool works
	@deploy/image/build

image-test:  ## Build the images and run them for real: classify, upload, restart, stop
	@deploy/image/test || [[ $$? == 77 ]]

clean:  ## Remove everything that was built
	@rm -rf build
