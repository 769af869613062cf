# The commands for development. `make` downloads or builds dependencies at their first use, into build/ and target/.

ENVOY_VERSION ?= 1.40.0
PORT ?= 8080
FUZZ_SECONDS ?= 60
SOAK ?= 1000000

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SETUP := test-harness/setup
MACHINE := $(shell uname -m)
TIMED := $(SETUP)/timed
# Builds every test and the programs that they start, and lists the older versions in $versions. All commands use --workspace,
# because another selection of packages has other features and builds the dependencies again.
define OLDER_ENVOYS
cargo test --quiet --workspace --no-run
versions=$$($(SETUP)/envoys)
endef
# Succeeds in the recipe of a version of Envoy that loads dynamic modules.
HAS_DYNAMIC_MODULES = [ "$$(printf '%s\n' 1.38 $* | sort --version-sort | head -n 1)" = 1.38 ]
WASM_SOURCES := Cargo.toml Cargo.lock build.rs docs/gateway.schema.json $(shell find src -name '*.rs' 2>/dev/null)
export ENVOY_VERSION PORT
export RUSTUP_AUTO_INSTALL = 0

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: wasm envoy ## start the demo: a real Envoy with the filter on 127.0.0.1:8080 (PORT=… sets another port)
	@cargo build --bin portcullis
	cargo run --package test-harness --bin demo

test: wasm dynamic-module envoy browser manifests rls suite wasm-runner ## run the tests: natively, as wasm under Node, through a real Envoy, in a real browser, and a smoke test with older versions of Envoy
	@$(TIMED) build-tests cargo test --workspace --no-run
	$(TIMED) tests cargo test --workspace --no-fail-fast
	FILTER_HOST=dynamic-module $(TIMED) dynamic-module cargo test --quiet --workspace --test traps -- traps/dynamic_module
	$(TIMED) smoke $(MAKE) --no-print-directory test-smoke
	FUZZ_RUNS=5000 $(TIMED) fuzz $(SETUP)/fuzz 200
	$(TIMED) soak target/debug/soak 10000
	$(TIMED) wasm-tests $(SETUP)/wasm-cargo test

test-all: test ## also run the slow tests: all cases through every version of Envoy, an hour of fuzzing, a million requests
	@$(TIMED) dynamic-module-all $(MAKE) --no-print-directory test-dynamic-module
	$(TIMED) versions $(MAKE) --no-print-directory test-versions
	$(TIMED) aarch64 $(MAKE) --no-print-directory test-aarch64
	$(TIMED) fuzz-long $(SETUP)/fuzz 3600
	$(TIMED) soak-long $(MAKE) --no-print-directory soak

test-dynamic-module: wasm dynamic-module envoy rls
	@cargo test --quiet --workspace --no-run
	export FILTER_HOST=dynamic-module
	cargo test --quiet --workspace --no-fail-fast --test traps --test failures --test generated --test crowd --test global_limits --test wire

test-versions: wasm dynamic-module ## run the cases, traps and configurations through each older supported version of Envoy
	@$(OLDER_ENVOYS)
	# Run two versions in parallel, because each run spends most of its time waiting.
	$(MAKE) --no-print-directory --jobs=2 --keep-going $$(printf 'test-version-%s ' $$versions)

test-smoke: wasm dynamic-module
	@$(OLDER_ENVOYS)
	$(MAKE) --no-print-directory --jobs=2 --keep-going $$(printf 'test-smoke-%s ' $$versions)

test-version-%:
	@export ENVOY=$(CURDIR)/build/envoys/$*/bin/envoy
	{
	  cargo test --quiet --workspace --no-fail-fast --test envoy --test traps --test generated
	  cargo test --quiet --workspace --test manifests behind_
	  if $(HAS_DYNAMIC_MODULES); then
	    FILTER_HOST=dynamic-module cargo test --quiet --workspace --no-fail-fast --test traps --test failures --test generated
	  fi
	} 2>&1 | sed -u 's/^/$*: /'

test-aarch64: wasm dynamic-module-aarch64 ## run a case file through an emulated Envoy for aarch64 with the dynamic module
	@ENVOY=$$($(SETUP)/envoy-aarch64)
	export ENVOY DYNAMIC_MODULE=dist/libportcullis-aarch64.so
	cargo test --quiet --workspace --test dynamic_module
	cargo test --quiet --workspace --test envoy -- dynamic-envoy/smoke:

# Runs one case file, the trap of a worker without a filter and the short traps of the dynamic module, and checks that this version
# accepts each generated configuration.
test-smoke-%:
	@export ENVOY=$(CURDIR)/build/envoys/$*/bin/envoy
	{
	  cargo test --quiet --workspace --test envoy -- /smoke:
	  cargo test --quiet --workspace --test traps -- 'traps/configure: 0.1 '
	  cargo test --quiet --workspace --test generated
	  if $(HAS_DYNAMIC_MODULES); then
	    FILTER_HOST=dynamic-module cargo test --quiet --workspace --test traps -- traps/dynamic_module
	  fi
	} 2>&1 | sed -u 's/^/$*: /'

check: rust wasm-toolchain ## check formatting, lints on both targets, documentation, house rules
	@cargo fmt --all --check
	cargo fmt --manifest-path test-harness/rls/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(SETUP)/wasm-cargo lint
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet
	cargo test --quiet --workspace --test tidy

bench: wasm dynamic-module envoy ## measure the filter against Envoy's own filters, into docs/bench/ (BENCH=--quick: shorter; BENCH=--responses: only bodies)
	@cargo build --quiet --release --bin portcullis
	cargo run --quiet --release --package test-harness --bin bench -- $(BENCH)

bench-core: rust ## measure each stage of the decision core separately (BENCH=name for only one benchmark)
	@cargo bench --bench decide --bench route --bench authorize --bench json_api --bench limit -- $(BENCH)

size: wasm ## list the ten largest crates in each module
	@for module in portcullis portcullis-full; do
	  cargo run --quiet --package pack -- --sizes build/$$module.wasm
	done

wasm: dist/portcullis.wasm ## build dist/portcullis.wasm, and dist/portcullis-full.wasm with JSON Schema

dynamic-module: dist/libportcullis.so ## build dist/libportcullis.so, the filter as an Envoy dynamic module for this machine's architecture

dynamic-module-aarch64: dist/libportcullis-aarch64.so ## build dist/libportcullis-aarch64.so, the dynamic module for aarch64

image: wasm ## pack both modules into OCI image layouts, dist/oci/ and dist/oci-full/
	@cargo run --quiet --package test-harness --bin image -- dist/portcullis.wasm dist/oci
	cargo run --quiet --package test-harness --bin image -- dist/portcullis-full.wasm dist/oci-full

fuzz: rust ## search for input that breaks the core with libFuzzer, for FUZZ_SECONDS (60) over all targets
	@$(SETUP)/fuzz "$(FUZZ_SECONDS)"

sanitize: rust ## run the dynamic module in a fake Envoy under AddressSanitizer and ThreadSanitizer, with several threads
	@$(SETUP)/sanitize

soak: wasm ## send SOAK (1,000,000) requests and watch Envoy's memory, into docs/soak/
	@cargo test --quiet --workspace --no-run
	target/debug/soak "$(SOAK)" docs/soak

sbom: rust ## list the components of the modules, into dist/portcullis.cdx.json, dist/portcullis-full.cdx.json and dist/libportcullis.cdx.json
	@mkdir -p dist
	cargo run --quiet --package test-harness --bin sbom -- wasm32-wasip1 >dist/portcullis.cdx.json
	cargo run --quiet --package test-harness --bin sbom -- wasm32-wasip1 --features full >dist/portcullis-full.cdx.json
	cargo run --quiet --package test-harness --bin sbom -- x86_64-unknown-linux-gnu --no-default-features --features dynamic-module,full >dist/libportcullis.cdx.json

reproducible: wasm dynamic-module ## build the modules twice from scratch and compare them with those in dist/
	@$(SETUP)/reproducible

reference: rust ## write the key tables of docs/configuration.md from docs/gateway.schema.json
	@cargo run --quiet --package test-harness --bin reference

clean: ## remove everything that was built or downloaded
	@rm -rf build dist target

.PHONY: help run test test-all test-dynamic-module test-versions test-smoke test-aarch64 check bench bench-core size wasm dynamic-module dynamic-module-aarch64 image fuzz sanitize soak sbom reproducible reference clean rust wasm-toolchain envoy browser manifests rls suite wasm-runner

dist/portcullis.wasm dist/portcullis-full.wasm &: $(WASM_SOURCES) src/strict_json/schema/dialect.json test-harness/pack/src/main.rs build/wasm-toolchain
	@$(SETUP)/wasm-cargo build build/portcullis.wasm
	cargo run --quiet --package pack -- build/portcullis.wasm dist/portcullis.wasm
	$(SETUP)/wasm-cargo build build/portcullis-full.wasm full
	cargo run --quiet --package pack -- build/portcullis-full.wasm dist/portcullis-full.wasm

dist/libportcullis.so: $(WASM_SOURCES) $(SETUP)/dynamic-cargo build/dynamic-toolchain-$(MACHINE)
	@mkdir -p dist
	$(SETUP)/dynamic-cargo $(MACHINE) $@

dist/libportcullis-aarch64.so: $(WASM_SOURCES) $(SETUP)/dynamic-cargo build/dynamic-toolchain-aarch64
	@mkdir -p dist
	$(SETUP)/dynamic-cargo aarch64 $@

# The set-up scripts. A script does nothing if its work is already done. If it fails, it prints one line about what is missing.

rust:
	@$(SETUP)/rust

wasm-toolchain: build/wasm-toolchain

build/wasm-toolchain: rust-toolchain.toml $(SETUP)/wasm-toolchain | rust
	@$(SETUP)/wasm-toolchain $@

build/dynamic-toolchain-%: rust-toolchain.toml $(SETUP)/dynamic-toolchain $(SETUP)/dynamic-requirements | rust
	@$(SETUP)/dynamic-toolchain $* $@

envoy: rust
	@$(SETUP)/envoy

browser:
	@$(SETUP)/browser

manifests:
	@$(SETUP)/manifests

rls: rust
	@$(SETUP)/rls

wasm-runner: rust
	@$(SETUP)/wasm-runner

suite: rust
	@$(SETUP)/suite
