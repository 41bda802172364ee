// A function that nobody defines, in an object without types to say what it is.
int helper_of_another_file(int a);

__attribute__((section("xdp"))) int prog(void *ctx)
{
	return helper_of_another_file(1);
}
