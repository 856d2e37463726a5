# Everything a developer runs, by name. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help build run test peers fmt clippy unit docs shell soak conformance helm deny bench bench-starget fuzz

STEP := ci/step.sh
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15

build: ## build the release program
	cargo build --release --locked

run: ## serve on 127.0.0.1:5000 with the embedded defaults
	cargo run --release --locked -- serve

test: peers fmt clippy unit docs shell ## install what the tests need (as root), then run every check

peers: ## install the programs the tests run against, or say what is missing
	@$(STEP) "peers" ci/install-peers.sh test

fmt: ## check the formatting
	@$(STEP) "fmt" cargo fmt --all --check

clippy: ## lint everything, warnings are errors
	@$(STEP) "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings

unit: ## run all tests: unit, integration with real peers, doc tests
	@$(STEP) "tests" cargo test --workspace --locked --no-fail-fast

docs: ## build the documentation, warnings are errors
	@RUSTDOCFLAGS="-D warnings" $(STEP) "docs" cargo doc --workspace --no-deps --locked

shell: ## parse all shell scripts
	@$(STEP) "shell" ci/check-shell.sh

soak: ## push, pull, delete and collect garbage at random for half an hour (TRANSSHIP_SOAK_SECONDS)
	TRANSSHIP_SOAK_SECONDS=$${TRANSSHIP_SOAK_SECONDS:-1800} cargo test -p transship --test e2e --locked -- --nocapture push_soak

conformance: ## run the official OCI conformance suite, hosted and through a proxy (needs Go)
	@$(STEP) "conformance" ci/conformance.sh

helm: ## push and pull a chart with the real helm, as the recipe in docs/ci has it (needs Go)
	@$(STEP) "helm" ci/helm.sh

deny: ## check licences, advisories and duplicate versions (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing. Install it with: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --workspace check

bench: ## compare with docker-registry and nginx on loopback, one table
	@$(STEP) "peers" ci/install-peers.sh bench
	bench/run.sh

bench-starget: ## compare starget with pulling the whole image, over a round trip of 20 ms (as root)
	@$(STEP) "peers" ci/install-peers.sh bench
	bench/starget.sh

fuzz: ## run every fuzz target for FUZZ_SECONDS (needs nightly Rust and cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing. Install it with: cargo install --locked cargo-fuzz" >&2; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		$(STEP) "fuzz $$target" cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/corpus-seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS); \
	done
