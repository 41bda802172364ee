#!/bin/sh
# Builds the benchmark programs: one file of bare instructions a workload.
set -eu
cd "$(dirname "$0")"

object=$(mktemp)
trap 'rm -f "$object"' EXIT
"${CLANG:-clang-19}" -target bpfel -mcpu="${CPU:-v3}" -O2 -Wall -c workloads.c -o "$object"
for name in $(sed -n 's/^WORKLOAD(\([a-z]*\))$/\1/p' workloads.c); do
	"${OBJCOPY:-llvm-objcopy-19}" -O binary -j "w_$name" "$object" "$name.bin"
done
