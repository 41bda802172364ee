#!/bin/sh
# Builds the object of the comparison from its source, as the example objects are built.
set -eu
cd "$(dirname "$0")"
"${CLANG:-clang-19}" -target bpfel -mcpu=v3 -O2 -g -Wall -Wno-unused-function \
	-fdebug-prefix-map="$PWD"=. -I"/usr/include/$(uname -m)-linux-gnu" \
	-c compare.bpf.c -o compare.bpf.o
"${STRIP:-llvm-strip-19}" -g compare.bpf.o
