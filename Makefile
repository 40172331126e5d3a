# One target for each thing that a developer does. `make` lists them.
.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help demo test test-large bench e2e e2e-large model soak sweep fuzz unit lint fmt crds bindings check-bindings images up-test clean-demo clean-test

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

demo: ## Show the operator at work on a local Kubernetes (sets everything up)
	@e2e/setup/demo.sh

test: ## Pass all tests: format, clippy, unit, bindings, end to end (sets everything up)
	@e2e/setup/test.sh

e2e: ## Run the end-to-end suite alone; ARGS=name picks tests
	@e2e/setup/suite.sh $(ARGS)

unit: ## Run unit, snapshot and node tests
	@e2e/setup/toolchain.sh build
	@node-image/tests/clients/setup.sh
	@dqlite/sys/libdqlite/build.sh --released
	cargo test -q --workspace --exclude dqlite-e2e --features dqlite/node

model: ## Look at more worlds of the decisions' model than the tests do (8 GB of memory, 15 min)
	MODEL_WORLDS=20000000 MODEL_SETTLED=16 MODEL_THREADS=2 cargo test -q -p operator-model -- --nocapture --test-threads=1

soak: ## Kill, pause and stop nodes some hundred times under checked clients (30 min; SOAK_FAULTS, SOAK_SEED)
	@e2e/setup/toolchain.sh build
	SOAK_FAULTS=$${SOAK_FAULTS:-300} cargo test -q -p dqlite-node --test faults -- --nocapture

sweep: ## Run the operator under every fault that a call of it may meet (1 h; SWEEP_SECONDS, SWEEP_SEED, SWEEP_ONLY)
	@SWEEP_SECONDS=$${SWEEP_SECONDS:-0} e2e/setup/sweep.sh

fuzz: ## Send the decoders and the front what nobody thought of (FUZZ_SECONDS each, 30; FUZZ_ONLY)
	@e2e/setup/toolchain.sh build
	@dqlite/fuzz/run.sh

test-large: ## Seed with 700 MB, dump 2 GiB, with and without our fixes (10 GB of memory, 5 min)
	@e2e/setup/toolchain.sh build
	@dqlite/sys/libdqlite/build.sh --released
	cargo build -q -p libdqlite-sys --examples
	cargo test -q -p libdqlite-sys --test fixes -- --ignored --nocapture --test-threads=1

e2e-large: ## Seed a member with 700 MB through the front, on Kubernetes
	@E2E_LARGE_MB=700 e2e/setup/suite.sh a_large_member_is_seeded

bench: ## Measure nodes and operator against peers in the same run (35 min)
	@e2e/setup/bench.sh

lint: ## Check format and clippy
	cargo fmt --all --check
	cargo fmt --check --manifest-path dqlite/fuzz/Cargo.toml
	cargo clippy -q --workspace --all-targets --features dqlite/node -- -D warnings

fmt: ## Format
	cargo fmt --all
	cargo fmt --manifest-path dqlite/fuzz/Cargo.toml

crds: ## Write crds/ and the chart's copy anew
	cargo run -q -p dqlite-operator -- crds >crds/dqliteclusters.yaml
	cp crds/dqliteclusters.yaml charts/dqlite-operator/files/

bindings: ## Write the bindings of libdqlite anew (needs libclang)
	e2e/setup/packages.sh bindings
	cargo build -q -p libdqlite-sys --features bindgen

check-bindings: ## Check that the committed bindings are current
	@dqlite/sys/libdqlite/check-bindings.sh

images: ## Build the images of the operator and the node
	@e2e/setup/images.sh

up-test: ## Bring the test Kubernetes up, to work on it by hand
	@e2e/setup/up.sh test

clean-demo: ## Take the demo's Kubernetes down
	@e2e/setup/down.sh demo

clean-test: ## Take the tests' Kubernetes down
	@e2e/setup/down.sh test
