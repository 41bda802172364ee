#!/bin/sh
# Builds the objects of these tests. They are committed, so nobody needs clang to run the tests.
set -eu
cd "$(dirname "$0")"

for source in *.bpf.c; do
	"${CLANG:-clang-19}" -target bpfel -mcpu=v3 -O2 -g -Wall \
		-fdebug-prefix-map="$PWD"=. -I "/usr/include/$(uname -m)-linux-gnu" \
		-c "$source" -o "${source%.c}.o"
	"${STRIP:-llvm-strip-19}" -g "${source%.c}.o"
done
