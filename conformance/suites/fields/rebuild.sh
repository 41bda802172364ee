#!/bin/sh
# Builds the programs that hold the verifier to the kernel's word from their sources, as the
# example objects are built.
set -eu
cd "$(dirname "$0")"

CLANG=${CLANG:-clang-19}
STRIP=${STRIP:-llvm-strip-19}

for source in *.bpf.c; do
	object=${source%.c}.o
	echo "$object"
	"$CLANG" -target bpfel -mcpu=v3 -O2 -g -Wall -Wno-unused-function \
		-fdebug-prefix-map="$PWD"=. -I"/usr/include/$(uname -m)-linux-gnu" \
		-c "$source" -o "$object"
	"$STRIP" -g "$object"
done
