#!/bin/sh
# Builds the examples from their sources, and their packets. All are committed: running an example
# takes neither clang nor Python.
set -eu
cd "$(dirname "$0")"

for name in guard plugin; do
	"${CLANG:-clang-19}" -target bpfel -mcpu=v3 -O2 -g -Wall -fdebug-prefix-map="$PWD"=. \
		-I"/usr/include/$(uname -m)-linux-gnu" \
		-c "$name.bpf.c" -o "$name.bpf.o"
	"${STRIP:-llvm-strip-19}" -g "$name.bpf.o"
done
python3 packets.py
