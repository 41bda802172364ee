#!/bin/sh
# Builds the example from its source, and its packets. Both are committed: running the example
# takes neither clang nor Python.
set -eu
cd "$(dirname "$0")"

"${CLANG:-clang-19}" -target bpfel -mcpu=v3 -O2 -g -Wall -fdebug-prefix-map="$PWD"=. \
	-I"/usr/include/$(uname -m)-linux-gnu" \
	-c guard.bpf.c -o guard.bpf.o
"${STRIP:-llvm-strip-19}" -g guard.bpf.o
python3 packets.py
