// SPDX-License-Identifier: MIT OR Apache-2.0
/* Objects that programs make, lists and trees of them, exceptions. */
#include "kfunc.h"

#define private(name) SEC(".bss." #name) __attribute__((aligned(8)))
#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))

#include <bpf/bpf_core_read.h>

/* Older headers lack them. */
struct bpf_list_head {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_list_node {
	__u64 opaque[3];
} __attribute__((aligned(8)));

struct bpf_rb_root {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_rb_node {
	__u64 opaque[4];
} __attribute__((aligned(8)));

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *obj, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node,
				    void *meta, __u64 off) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node,
				   void *meta, __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root,
					     struct bpf_rb_node *node) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       _Bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b),
			       void *meta, __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern void *bpf_refcount_acquire_impl(void *kptr, void *meta) __ksym;
extern void bpf_throw(__u64 cookie) __ksym;

struct item {
	struct bpf_list_node node;
	__u64 value;
};

struct leaf {
	struct bpf_rb_node node;
	__u64 key;
	__u64 value;
};

private(list) struct bpf_spin_lock list_lock;
private(list) struct bpf_list_head list __contains(item, node);
private(tree) struct bpf_spin_lock tree_lock;
private(tree) struct bpf_rb_root tree __contains(leaf, node);

static __always_inline int push(__u64 value, int back)
{
	struct item *item = bpf_obj_new(struct item);
	int ret;

	if (!item)
		return -1;
	item->value = value;
	bpf_spin_lock(&list_lock);
	ret = back ? bpf_list_push_back_impl(&list, &item->node, NULL, 0)
		   : bpf_list_push_front_impl(&list, &item->node, NULL, 0);
	bpf_spin_unlock(&list_lock);
	return ret;
}

static __always_inline __u64 pop(int back)
{
	struct bpf_list_node *node;
	struct item *item;
	__u64 value;

	bpf_spin_lock(&list_lock);
	node = back ? bpf_list_pop_back(&list) : bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	if (!node)
		return -1;
	item = container_of(node, struct item, node);
	value = item->value;
	bpf_obj_drop_impl(item, NULL);
	return value;
}

SEC("tc")
int lists(struct __sk_buff *skb)
{
	SEE(pop(0));
	SEE(push(1, 0));
	SEE(push(2, 1));
	SEE(push(3, 0));
	SEE(push(4, 1));
	SEE(pop(0));
	SEE(pop(1));
	SEE(pop(0));
	SEE(push(5, 0));
	SEE(pop(1));
	SEE(pop(1));
	SEE(pop(1));
	/* One stays for the next run. */
	SEE(pop(0));
	SEE(push(skb->len, 1));
	return 0;
}

static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, node)->key < container_of(b, struct leaf, node)->key;
}

static __always_inline int add(__u64 key, __u64 value)
{
	struct leaf *leaf = bpf_obj_new(struct leaf);
	int ret;

	if (!leaf)
		return -1;
	leaf->key = key;
	leaf->value = value;
	bpf_spin_lock(&tree_lock);
	ret = bpf_rbtree_add_impl(&tree, &leaf->node, less, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return ret;
}

static __always_inline __u64 first(void)
{
	struct bpf_rb_node *node;
	struct leaf *leaf;
	__u64 value;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&tree);
	if (!node) {
		bpf_spin_unlock(&tree_lock);
		return -1;
	}
	node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return -2;
	leaf = container_of(node, struct leaf, node);
	value = leaf->key << 32 | leaf->value;
	bpf_obj_drop_impl(leaf, NULL);
	return value;
}

SEC("tc")
int trees(struct __sk_buff *skb)
{
	SEE(first());
	SEE(add(5, 1));
	SEE(add(3, 2));
	SEE(add(9, 3));
	SEE(add(3, 4));
	SEE(add(skb->len, 5));
	SEE(first());
	SEE(first());
	SEE(add(4, 6));
	SEE(first());
	SEE(first());
	SEE(first());
	/* One or two stay for the next run. */
	return 0;
}

static __noinline int deep(int value)
{
	if (value & 1)
		bpf_throw(0x100000000ull + value);
	return value;
}

SEC("tc")
int exceptions(struct __sk_buff *skb)
{
	seen[0]++;
	return deep(skb->len) + 1000;
}

__noinline int caught(__u64 cookie)
{
	return cookie + 7;
}

SEC("tc")
__attribute__((btf_decl_tag("exception_callback:caught")))
int exceptions_caught(struct __sk_buff *skb)
{
	seen[0]++;
	return deep(skb->len) + 1000;
}
