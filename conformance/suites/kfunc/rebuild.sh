#!/bin/sh
# Builds the programs from their sources, as the example objects are built.
set -eu
cd "$(dirname "$0")"

CLANG=${CLANG:-clang-19}
STRIP=${STRIP:-llvm-strip-19}

for source in *.bpf.c; do
	object=${source%.c}.o
	echo "$object"
	# Address spaces of arenas need the newest instructions.
	case $source in arena*) cpu=v4 ;; *) cpu=v3 ;; esac
	"$CLANG" -target bpfel -mcpu="$cpu" -O2 -g -Wno-unused-function \
		-fdebug-prefix-map="$PWD"=. -I"/usr/include/$(uname -m)-linux-gnu" \
		-c "$source" -o "$object"
	"$STRIP" -g "$object"
done
