// The same names as in local.c, as a kernel might have laid them out.
struct moved {
	long long before;
	int b;
	char between[3];
	int a;
};
struct point {
	union {
		struct {
			int pad;
			int z;
			int y;
		};
		long long unused;
	};
	struct {
		struct {
			int x;
			long long w;
		};
	};
};
struct arrays {
	int fixed[16];
	int shrunk[4];
	char gap[5];
	struct moved structs[3];
	int grid[4][7];
	char name[32];
};
struct flexible {
	long long len;
	int data[];
};
struct flags {
	unsigned filler : 9;
	unsigned low : 5;
	int middle : 9;
	unsigned long long wide : 30;
	unsigned became_plain;
	unsigned plain : 6;
	unsigned on : 1;
	unsigned char odd;
	unsigned short straddles : 9;
} __attribute__((packed));
struct sizes {
	unsigned long long grows;
	unsigned short shrinks;
	long long signed_grows;
	unsigned byte;
	int turns_signed;
	const int *volatile pointer;
	void *turns_pointer;
	_Bool truth;
	short same;
};
enum color { NEGATIVE = -33, GREEN = 17, RED = 2, HUGE_ONE = 0x7ffffffe };
enum big { BIG_B = 0xfedcba9876543210ULL, BIG_A = 3 };
enum another { ANOTHER };
struct kinds {
	int added;
	enum color color;
	long (*call)(void);
	struct moved nested;
	struct {
		int inner;
	} was_int;
	double real;
	unsigned char letter;
	struct {
		int pad, u;
	} both;
	void *link;
	enum another other_enum;
};
struct flavored {
	int pad[3];
	int renamed;
};
struct twice {
	int pad;
	int field;
};
struct twice___2 {
	int pad;
	int field;
	int more;
};
typedef struct {
	int field;
} was_typedef;
typedef struct {
	int second;
	int third;
	int first;
} unnamed_t;
typedef struct moved moved_t;
typedef long long number_t;
typedef int (*callback_t)(struct moved *, int);
typedef struct moved *moved_ptr_t;
union choice {
	char before[12];
	int i;
	long long l;
};

struct match_less {
	char before;
	int a;
};
struct match_sign {
	int a;
};
struct only_there;
struct match_behind_ptr {
	struct only_here *link;
	struct match_less *same;
};
struct match_nested {
	int array[4];
	struct match_less inner;
};
struct match_array {
	int array[6];
};
struct match_callback {
	int (*call)(struct moved *, long long);
};
struct declared {
	int now_defined;
};
struct match_declared {
	struct declared *link;
};
enum match_enum { M_ZERO, M_ONE = 100 };
enum match_enum_more { MM_ONE, MM_TWO };

struct all {
	int shift;
	struct kinds kinds;
	struct moved moved;
	struct point point;
	struct arrays arrays;
	struct flexible *flexible;
	struct flags flags;
	struct sizes sizes;
};

// Clang writes only types that are used, and only by value in full.
struct everything {
	struct all all;
	struct flavored flavored;
	struct twice twice;
	struct twice___2 twice_too;
	was_typedef was_typedef;
	unnamed_t unnamed;
	moved_t moved;
	number_t number;
	callback_t callback;
	moved_ptr_t moved_ptr;
	union choice choice;
	struct match_less m1;
	struct match_sign m2;
	struct match_behind_ptr m3;
	struct match_nested m4;
	struct match_array m5;
	struct match_callback m6;
	struct match_declared m7;
	enum match_enum m8;
	enum match_enum_more m9;
	enum big big;
};
struct everything everything;
struct flexible flexible;
struct declared declared;
