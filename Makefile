# Targets contain no logic: anything that needs an `if` is a Rust program.
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
.PHONY: help demo up test bench hot-pieces conformance chaos fleet upgrade-test neighbours search-bench login-timing check deny deploy-check dist

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Build, and show one request for each of the four decisions, and a charger that charges; needs only Rust
	cargo run --package voltgate -- demo

up: ## Run everything in one process, data in ./voltgate-data
	cargo run --package voltgate -- up

test: ## Run all tests against private RabbitMQ, Redis and PostgreSQL servers; installs their Debian packages if permitted
	cargo build --workspace --bins --examples
	cargo run --quiet --package test-servers --bin with-servers -- cargo test --workspace

bench: ## Measure the release build, the bare broker and a Python system; BENCH=backlog, for instance, runs one part
	CARGO_PROFILE_DIST_STRIP=none cargo build --profile dist -p public-api -p acl-service -p worker -p platform-api -p ocpp-gateway -p voltgate -p bench # `profile` needs the symbols
	$(TARGET)/dist/bench $(or $(BENCH),all)

hot-pieces: ## Update the counts in bench/hot-pieces.json, after an intended increase or a new compiler
	cargo build --package bench --bins
	$(TARGET)/debug/hot-pieces > $(TARGET)/hot-pieces.json
	cp $(TARGET)/hot-pieces.json bench/hot-pieces.json

conformance: ## Run Celery 5.7's own integration tests of tasks against our worker; BACKEND=rpc selects the other result backend
	cargo build --workspace --bins --examples
	$(TARGET)/debug/with-servers tests/celery/run rust $(or $(BACKEND),redis) t/integration/test_tasks.py

neighbours: ## Measure the latency of a healthy host while 600 callbacks hang, or drip, at another (takes two minutes)
	cargo build --release -p public-api -p worker -p acl-service -p tests
	cargo run --quiet --package test-servers --bin with-servers -- $(TARGET)/release/neighbours

search-bench: ## Measure searches among ten million requests in a private Redis (13 GB of memory, half an hour); RECORDS=…
	cargo build --release --package tests --package public-api --bin search-bench --bin public-api
	$(TARGET)/release/search-bench $(RECORDS)

login-timing: ## Compare how long 500 refused sign-ins take for names that exist, that do not, and that are blocked (takes minutes)
	cargo build --workspace --bins
	$(TARGET)/debug/with-servers cargo test -p tests --test system -- --ignored --nocapture login_timing

chaos: ## Inject faults under load and account for every 202, or with CHARGERS=40 for every transaction; SEED=… repeats a run, SECONDS=…
	cargo build --workspace
	$(TARGET)/debug/chaos $(if $(CHARGERS),--chargers $(CHARGERS)) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

fleet: ## Run a Python worker and one of ours on one queue, and kill both at random; SEED=… REQUESTS=… QUEUE=classic
	cargo build --workspace
	$(TARGET)/debug/with-servers $(TARGET)/debug/fleet $(if $(SEED),--seed $(SEED)) $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(QUEUE),--queue-type $(QUEUE))

upgrade-test: ## Run an earlier version together with this one under load: make upgrade-test FROM=<commit> SECONDS=…
	cargo build --workspace --bins
	$(TARGET)/debug/with-servers $(TARGET)/debug/upgrade-test $(FROM) $(if $(SECONDS),--seconds $(SECONDS))

check: ## Check formatting, lints and documentation; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

deny: ## Check licences, sources and banned crates (advisories need their database: see CONTRIBUTING.md)
	cargo install --quiet --locked --debug --root $(TARGET)/tools cargo-deny@0.20.2 # a debug build, because it runs once and building takes longest
	cargo fetch --quiet --locked # for every platform: a build fetches only its own, but cargo-deny checks all
	$(TARGET)/tools/bin/cargo-deny --offline check licenses bans sources

deploy-check: ## Check compose.yaml, the Kubernetes manifests, nginx.conf and the Dockerfile without running them
	deploy/check

dist: ## Build what is shipped, and pack it as a tarball and a Debian package in target/packages
	cargo install --quiet --locked --debug --root $(TARGET)/tools cargo-deb@3.8.0 # a debug build, as of cargo-deny
	cargo build --profile dist --package voltgate --package public-api --package platform-api --package ocpp-gateway --package worker --package acl-service --bins --locked
	deploy/dist
