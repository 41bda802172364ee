/* Plugins for examples/plugin_host.rs: a rate limiter for requests, and two that misbehave. */

typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, type) type *name

/* What the host gives every plugin: `Request` in plugin_host.rs. */
struct request {
	u64 client;
	u64 bytes;
	u32 method;
	u32 status; /* to be written: what to answer */
};

/* The host's helpers, by their numbers. */
static u64 (*host_now)(void) = (void *)1000;
static long (*host_log)(const char *text, u32 len) = (void *)1001;
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) =
	(void *)2;

struct bucket {
	u64 tokens;
	u64 filled;
};

struct {
	__uint(type, 1); /* hash */
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct bucket);
} buckets SEC(".maps");

#define BURST 10
#define NS_PER_TOKEN 1000000

/* A token bucket for each client. */
SEC("plugin")
int limit(struct request *req)
{
	u64 client = req->client, now = host_now();
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &client);

	if (!bucket) {
		struct bucket full = { .tokens = BURST, .filled = now };

		bpf_map_update_elem(&buckets, &client, &full, 0);
		bucket = bpf_map_lookup_elem(&buckets, &client);
		if (!bucket)
			return 0;
	}
	u64 fresh = (now - bucket->filled) / NS_PER_TOKEN;

	if (fresh) {
		bucket->filled += fresh * NS_PER_TOKEN;
		bucket->tokens += fresh;
		if (bucket->tokens > BURST)
			bucket->tokens = BURST;
	}
	if (!bucket->tokens) {
		static const char text[] = "limited";

		host_log(text, sizeof(text) - 1);
		req->status = 429;
		return 1;
	}
	bucket->tokens--;
	req->status = 200;
	return 0;
}

/* Never ends; the compiler may not know. */
SEC("plugin")
int forever(struct request *req)
{
	volatile u32 n = 1;

	while (n)
		n += 2;
	return 0;
}

/* Reads behind its context. */
SEC("plugin")
int snoop(struct request *req)
{
	return ((volatile u64 *)req)[1000];
}

char LICENSE[] SEC("license") = "MIT";
