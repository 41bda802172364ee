// Types as a program's author knew them, and one program for each way to ask about them.
// target.c has the same names with other layouts.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define PROG(name) SEC("socket") long name(struct all *p)
#define OFFSET(field) __builtin_preserve_field_info(field, BPF_FIELD_BYTE_OFFSET)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct moved {
	int a;
	int b;
};
struct point {
	int x;
	struct {
		int y;
		union {
			int z;
			long long w;
		};
	};
};
struct arrays {
	int fixed[8];
	int shrunk[8];
	struct moved structs[4];
	int grid[3][5];
	char name[16];
};
struct flexible {
	int len;
	int data[];
};
struct flags {
	unsigned low : 3;
	int middle : 7;
	unsigned long long wide : 40;
	unsigned became_plain : 4;
	unsigned plain;
	unsigned straddles : 12;
	_Bool on : 1;
};
struct sizes {
	unsigned grows;
	unsigned long long shrinks;
	int signed_grows;
	unsigned char byte;
	unsigned turns_signed;
	void *pointer;
	unsigned turns_pointer;
	short same;
	bool truth;
};
enum color { RED, GREEN = 7, NEGATIVE = -3, HUGE_ONE = 0x7fffffff, ONLY_HERE = 9 };
enum big { BIG_A = 0x100000000ULL, BIG_B = 0xffffffffffffffffULL };
struct kinds {
	enum color color;
	int (*call)(int);
	struct moved nested;
	int was_int;
	float real;
	char letter;
	union {
		int i;
		unsigned u;
	} both;
	struct moved *link;
	enum color other_enum;
};
struct flavored___old {
	int field;
};
struct flavored___new {
	int renamed;
};
struct twice {
	int field;
};
struct only_here {
	int field;
};
struct was_typedef {
	int field;
};
typedef struct {
	int first;
	int second;
} unnamed_t;
typedef struct moved moved_t;
typedef int number_t;
typedef int (*callback_t)(struct moved *, int);
typedef struct moved *moved_ptr_t;
union choice {
	int i;
	long long l;
};

// For type_matches.
struct match_less {
	int a;
};
struct match_sign {
	unsigned a;
};
struct match_behind_ptr {
	struct only_here *link;
	struct match_less *same;
};
struct match_nested {
	struct match_less inner;
	int array[4];
};
struct match_array {
	int array[5];
};
struct match_callback {
	int (*call)(struct moved *, long long);
};
struct declared;
struct match_declared {
	struct declared *link;
};
enum match_enum { M_ONE = 1 };
enum match_enum_more { MM_ONE, MM_TWO, MM_THREE };

struct all {
	struct moved moved;
	struct point point;
	struct arrays arrays;
	struct flexible *flexible;
	struct flags flags;
	struct sizes sizes;
	struct kinds kinds;
};
#pragma clang attribute pop

// Offsets.
PROG(load) { struct moved *m = (void *)p; return m->a + m->b; }
PROG(load_indexed) { struct moved *m = (void *)p; return m[3].b; }
PROG(store_register) { struct moved *m = (void *)p; m->b = (int)(long)p; return 0; }
PROG(store_immediate) { struct moved *m = (void *)p; m->b = 5; return 0; }
PROG(anonymous)
{
	struct point *q = (void *)p;

	return OFFSET(q->x) + OFFSET(q->y) + OFFSET(q->z) + OFFSET(q->w);
}
PROG(through_members) { return OFFSET(p->kinds.nested.b) + OFFSET(p->point.w); }
PROG(arrays)
{
	struct arrays *a = (void *)p;

	return OFFSET(a->fixed[7]) + OFFSET(a->structs[2].b) + OFFSET(a->grid[2][4]) +
	       OFFSET(a->grid[1]) + OFFSET(a->name) + a->fixed[3];
}
PROG(array_too_short) { struct arrays *a = (void *)p; return OFFSET(a->shrunk[6]); }
PROG(array_short_enough) { struct arrays *a = (void *)p; return OFFSET(a->shrunk[3]); }
PROG(flexible) { struct flexible *f = (void *)p; return OFFSET(f->data[5]) + OFFSET(f->len); }
PROG(typedefs)
{
	unnamed_t *u = (void *)p;
	moved_t *m = (void *)p;
	union choice *c = (void *)p;

	return OFFSET(u->second) + OFFSET(m->b) + OFFSET(c->l);
}
PROG(flavors)
{
	struct flavored___old *o = (void *)p;
	struct flavored___new *n = (void *)p;
	struct twice *t = (void *)p;

	if (bpf_core_field_exists(n->renamed))
		return OFFSET(n->renamed) + OFFSET(t->field);
	return OFFSET(o->field);
}

// Sizes.
PROG(grows) { struct sizes *s = (void *)p; return s->grows; }
PROG(shrinks) { struct sizes *s = (void *)p; return s->shrinks; }
PROG(signed_grows) { struct sizes *s = (void *)p; return s->signed_grows; }
PROG(byte) { struct sizes *s = (void *)p; return s->byte; }
PROG(turns_signed) { struct sizes *s = (void *)p; return s->turns_signed; }
PROG(pointer) { struct sizes *s = (void *)p; return (long)s->pointer; }
PROG(turns_pointer) { struct sizes *s = (void *)p; return s->turns_pointer; }
PROG(same) { struct sizes *s = (void *)p; return s->same + s->truth; }
PROG(store_grows) { struct sizes *s = (void *)p; s->grows = 1; s->byte = 2; return 0; }
PROG(field_sizes)
{
	struct sizes *s = (void *)p;
	struct arrays *a = (void *)p;

	return bpf_core_field_size(s->grows) + bpf_core_field_size(a->name) +
	       bpf_core_field_size(a->grid[1]) + bpf_core_field_size(a->grid[1][1]) +
	       bpf_core_field_size(s->pointer);
}

// Bitfields.
PROG(bitfields)
{
	struct flags *f = (void *)p;

	return BPF_CORE_READ_BITFIELD(f, low) + BPF_CORE_READ_BITFIELD(f, middle) +
	       BPF_CORE_READ_BITFIELD(f, wide) + BPF_CORE_READ_BITFIELD(f, on);
}
PROG(bitfield_straddles) { struct flags *f = (void *)p; return BPF_CORE_READ_BITFIELD(f, straddles); }
PROG(bitfield_becomes_plain) { struct flags *f = (void *)p; return BPF_CORE_READ_BITFIELD(f, became_plain); }
PROG(plain_becomes_bitfield) { struct flags *f = (void *)p; return BPF_CORE_READ_BITFIELD(f, plain); }
PROG(signs)
{
	struct flags *f = (void *)p;
	struct kinds *k = (void *)p;
	struct sizes *s = (void *)p;

#define SIGNED(field) __builtin_preserve_field_info(field, BPF_FIELD_SIGNED)
	return SIGNED(f->low) + SIGNED(f->middle) + SIGNED(k->color) + SIGNED(k->letter) +
	       SIGNED(s->truth) + SIGNED(s->turns_signed);
}

// Existence.
PROG(fields_exist)
{
	struct kinds *k = (void *)p;
	struct only_here *o = (void *)p;
	struct arrays *a = (void *)p;

	return bpf_core_field_exists(k->color) + bpf_core_field_exists(k->call) +
	       bpf_core_field_exists(k->nested) + bpf_core_field_exists(k->was_int) +
	       bpf_core_field_exists(k->real) + bpf_core_field_exists(k->both) +
	       bpf_core_field_exists(k->both.u) + bpf_core_field_exists(k->link) +
	       bpf_core_field_exists(k->other_enum) + bpf_core_field_exists(o->field) +
	       bpf_core_field_exists(a->shrunk);
}
PROG(missing_field) { struct only_here *o = (void *)p; return o->field; }
PROG(missing_offset) { struct kinds *k = (void *)p; return OFFSET(k->was_int); }
PROG(kind_differs) { struct was_typedef *w = (void *)p; return bpf_core_field_exists(w->field); }
PROG(types_exist)
{
	return bpf_core_type_exists(struct moved) + bpf_core_type_exists(struct only_here) +
	       bpf_core_type_exists(unnamed_t) + bpf_core_type_exists(number_t) +
	       bpf_core_type_exists(callback_t) + bpf_core_type_exists(moved_ptr_t) +
	       bpf_core_type_exists(union choice) + bpf_core_type_exists(enum color) +
	       bpf_core_type_exists(enum big) + bpf_core_type_exists(struct was_typedef);
}
PROG(type_sizes)
{
	return bpf_core_type_size(struct moved) + bpf_core_type_size(struct only_here) +
	       bpf_core_type_size(unnamed_t) + bpf_core_type_size(enum big) +
	       bpf_core_type_size(moved_ptr_t);
}
PROG(type_ids)
{
	return bpf_core_type_id_local(struct moved) + bpf_core_type_id_kernel(struct moved) +
	       bpf_core_type_id_kernel(struct only_here) + bpf_core_type_id_kernel(number_t);
}
PROG(types_match)
{
	return bpf_core_type_matches(struct match_less) + bpf_core_type_matches(struct match_sign) +
	       bpf_core_type_matches(struct match_behind_ptr) +
	       bpf_core_type_matches(struct match_nested) +
	       bpf_core_type_matches(struct match_array) +
	       bpf_core_type_matches(struct match_callback) +
	       bpf_core_type_matches(struct match_declared) +
	       bpf_core_type_matches(enum match_enum) +
	       bpf_core_type_matches(enum match_enum_more) +
	       bpf_core_type_matches(struct only_here) + bpf_core_type_matches(number_t) +
	       bpf_core_type_matches(callback_t) + bpf_core_type_matches(moved_ptr_t);
}

// Enumerators.
PROG(enumerators_exist)
{
	return bpf_core_enum_value_exists(enum color, RED) +
	       bpf_core_enum_value_exists(enum color, ONLY_HERE) +
	       bpf_core_enum_value_exists(enum big, BIG_B);
}
PROG(enumerators)
{
	return bpf_core_enum_value(enum color, GREEN) + bpf_core_enum_value(enum color, NEGATIVE) +
	       bpf_core_enum_value(enum color, HUGE_ONE) + bpf_core_enum_value(enum big, BIG_A) +
	       bpf_core_enum_value(enum big, BIG_B);
}
PROG(missing_enumerator) { return bpf_core_enum_value(enum color, ONLY_HERE); }
