// Static and global subprograms outside .text, which libbpf refuses.
#define SEC(name) __attribute__((section(name)))
#define NOINLINE __attribute__((noinline))

SEC("tc") NOINLINE static int beside(int a)
{
	return a * 7;
}

SEC("other") NOINLINE static int elsewhere(int a)
{
	return beside(a) + 1;
}

SEC("tc") int prog(void *ctx)
{
	return elsewhere((long)ctx) + beside(3 + (long)ctx);
}
