// Subprograms that call each other in a circle. The verifier refuses them; linking must end.
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))

NOINLINE int odd(int n);

NOINLINE int even(int n)
{
	return n ? odd(n - 1) + 1 : 0;
}

NOINLINE int odd(int n)
{
	return n ? even(n - 1) + 2 : 1;
}

SEC("xdp") int prog(void *ctx)
{
	return even((long)ctx) + odd(3);
}
