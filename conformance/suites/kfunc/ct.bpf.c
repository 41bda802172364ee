/* Entries of the connection table, and packets that move. */
#include "kernel.h"
#define O struct bpf_sock_tuple tup = {}; struct bpf_ct_opts o = {};

SEC("tc")
int look(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	if (c) {
		u32 m = c->mark;
		bpf_ct_release(c);
		return m;
	}
	return 0;
}

SEC("tc")
int look_leak(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	return 0;
}

SEC("tc")
int look_null(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	bpf_ct_release(c);
	return 0;
}

SEC("tc")
int look_big(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 120, &o, sizeof o);
	if (c) bpf_ct_release(c);
	return 0;
}

SEC("tc")
int look_ctx(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup((void*)&tup, &tup, 12, &o, sizeof o);
	if (c) bpf_ct_release(c);
	return 0;
}

SEC("tc")
int alloc(struct __sk_buff *s)
{
	O struct nf_conn___init *c = bpf_skb_ct_alloc(s, &tup, 12, &o, sizeof o);
	struct nf_conn *n;
	if (!c) return 0;
	bpf_ct_set_timeout(c, 1000);
	n = bpf_ct_insert_entry(c);
	if (n) {
		bpf_ct_change_timeout(n, 1);
		bpf_ct_release(n);
	}
	return 0;
}

SEC("tc")
int alloc_rel(struct __sk_buff *s)
{
	O struct nf_conn___init *c = bpf_skb_ct_alloc(s, &tup, 12, &o, sizeof o);
	if (!c) return 0;
	bpf_ct_release((void*)c);
	return 0;
}

SEC("tc")
int alloc_chg(struct __sk_buff *s)
{
	O struct nf_conn___init *c = bpf_skb_ct_alloc(s, &tup, 12, &o, sizeof o);
	struct nf_conn *n;
	if (!c) return 0;
	bpf_ct_change_timeout((void*)c, 1);
	n = bpf_ct_insert_entry(c);
	if (n) bpf_ct_release(n);
	return 0;
}

SEC("tc")
int ins_bad(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o), *n;
	if (!c) return 0;
	n = bpf_ct_insert_entry((void*)c);
	if (n) bpf_ct_release(n);
	return 0;
}

SEC("tc")
int set_bad(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	if (!c) return 0;
	bpf_ct_set_timeout((void*)c, 1);
	bpf_ct_release(c);
	return 0;
}

SEC("tc")
int wr(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	if (c) {
		c->mark = 1;
		bpf_ct_release(c);
	}
	return 0;
}

SEC("tc")
int wr_bad(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	if (c) {
		c->timeout = 1;
		bpf_ct_release(c);
	}
	return 0;
}

SEC("socket")
int look_sf(struct __sk_buff *s)
{
	O struct nf_conn *c = bpf_skb_ct_lookup(s, &tup, 12, &o, sizeof o);
	if (c) bpf_ct_release(c);
	return 0;
}

SEC("xdp")
int pull(struct xdp_md *x)
{
	void *d = (void*)(long)x->data, *e = (void*)(long)x->data_end;
	if (d+14>e) return 1;
	bpf_xdp_pull_data(x, 20);
	return *(u8*)d;
}

SEC("xdp")
int pull2(struct xdp_md *x)
{
	bpf_xdp_pull_data(x, 20);
	void *d = (void*)(long)x->data, *e = (void*)(long)x->data_end;
	if (d+14>e) return 1;
	return *(u8*)d;
}
