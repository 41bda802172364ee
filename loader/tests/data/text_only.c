// Nothing but .text: the global functions are the programs.
static __attribute__((noinline)) int twice(int a)
{
	return a * 2;
}

int first(void *ctx)
{
	return twice((long)ctx);
}

int second(void *ctx)
{
	return 1;
}
