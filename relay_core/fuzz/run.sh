#!/usr/bin/env bash
# Runs every fuzz target with libFuzzer's coverage guidance, on the stable compiler without a sanitizer.
# usage: FUZZ_SECONDS=60 relay_core/fuzz/run.sh [TARGET…]
set -euo pipefail
cd "$(dirname "$0")"

triple=$(rustc -vV | sed -n 's/^host: //p')
# The instrumentation that cargo-fuzz sets; --target keeps it out of build scripts.
flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    --cfg fuzzing
    -Cdebug-assertions
    -Ccodegen-units=1
)
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for source in src/bin/*.rs; do
        [ -e "$source" ] || { echo "fuzz: relay_core/fuzz/src/bin holds no target" >&2; exit 1; }
        targets+=("$(basename "$source" .rs)")
    done
fi
RUSTFLAGS="${flags[*]}" cargo build --release --locked --target "$triple" --target-dir ../../target/fuzz --bins
for target in "${targets[@]}"; do
    found=../../build/fuzz/$target
    seeds=../../build/fuzz/$target-seeds
    mkdir -p "$found" "$seeds" "corpus/$target"
    python3 seeds.py "$target" "$seeds"
    echo "fuzz: $target"
    # New inputs go to build/; a crash that is kept becomes a file of corpus/, which the ordinary tests replay.
    "../../target/fuzz/$triple/release/$target" -max_total_time="${FUZZ_SECONDS:-60}" \
        -artifact_prefix="../../build/fuzz/$target-" "$found" "$seeds" "corpus/$target"
done
