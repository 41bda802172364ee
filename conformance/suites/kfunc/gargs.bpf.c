/* Kernel objects and contexts as arguments of global functions. */
#include "kernel.h"
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute((btf_decl_tag("arg:nonnull")))
#define __arg_nullable __attribute((btf_decl_tag("arg:nullable")))
#define __arg_trusted __attribute((btf_decl_tag("arg:trusted")))
#define __arg_untrusted __attribute((btf_decl_tag("arg:untrusted")))
int x;
#define TP(n) SEC("tp_btf/task_newtask") int BPF_PROG(n, struct task_struct *t, u64 f)

__noinline int tr(struct task_struct *t __arg_trusted)
{
	x = t->pid;
	return 0;
}

TP(tr_ok)
{
	return tr(t);
}

TP(tr_cur)
{
	return tr(bpf_get_current_task_btf());
}

TP(tr_walk)
{
	return tr(t->group_leader);
}

TP(tr_walk2)
{
	return tr(t->last_wakee);
}

TP(tr_null)
{
	return tr(0);
}

TP(tr_scal)
{
	return tr((void*)f);
}

TP(tr_fp)
{
	u64 z = 0;
	return tr((void*)&z);
}

TP(tr_off)
{
	return tr((void*)t+8);
}

TP(tr_pid)
{
	struct task_struct *p = bpf_task_from_pid(1);
	if (!p) return 0;
	tr(p);
	bpf_task_release(p);
	return 0;
}

TP(tr_pidnull)
{
	struct task_struct *p = bpf_task_from_pid(1);
	tr(p);
	if (p) bpf_task_release(p);
	return 0;
}

__noinline int trn(struct task_struct *t __arg_trusted __arg_nullable)
{
	if (t) x = t->pid;
	return 0;
}

TP(trn_null)
{
	return trn(0);
}

TP(trn_ok)
{
	return trn(t);
}

TP(trn_pid)
{
	struct task_struct *p = bpf_task_from_pid(1);
	trn(p);
	if (p) bpf_task_release(p);
	return 0;
}

TP(trn_scal)
{
	return trn((void*)f);
}

__noinline int trnbad(struct task_struct *t __arg_trusted __arg_nullable)
{
	x = t->pid;
	return 0;
}

TP(trnbad_)
{
	return trnbad(t);
}

__noinline int tracq(struct task_struct *t __arg_trusted)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (a) bpf_task_release(a);
	return 0;
}

TP(tracq_)
{
	return tracq(t);
}

__noinline int trrel(struct task_struct *t __arg_trusted)
{
	bpf_task_release(t);
	return 0;
}

TP(trrel_)
{
	struct task_struct *p = bpf_task_from_pid(1);
	if (!p) return 0;
	trrel(p);
	return 0;
}
struct nosuch___x { int a; }; struct nosuchstruct { int a; };

__noinline int tno(struct nosuchstruct *t __arg_trusted)
{
	return 0;
}

TP(tno_)
{
	return tno((void*)t);
}
struct task_struct___loc { int pid; };

__noinline int tflav(struct task_struct___loc *t __arg_trusted)
{
	x = t != 0;
	return 0;
}

TP(tflav_)
{
	return tflav((void*)t);
}

__noinline int tint(int *t __arg_trusted)
{
	return 0;
}

TP(tint_)
{
	return tint((void*)t);
}

__noinline int tnn(struct task_struct *t __arg_trusted __arg_nonnull)
{
	return 0;
}

TP(tnn_)
{
	return tnn(t);
}

__noinline int tcg(struct cgroup *t __arg_trusted)
{
	x = t->level;
	return 0;
}

TP(tcg_wrong)
{
	return tcg((void*)t);
}

__noinline int un(struct task_struct *t __arg_untrusted)
{
	x = t->pid;
	return 0;
}

TP(un_ok)
{
	return un(t);
}

TP(un_scal)
{
	return un((void*)f);
}

TP(un_fp)
{
	u64 z = 0;
	return un((void*)&z);
}

TP(un_null)
{
	return un(0);
}

__noinline int unv(void *t __arg_untrusted)
{
	x = *(int*)t;
	return 0;
}

TP(unv_ok)
{
	return unv((void*)f);
}

__noinline int unc(char *t __arg_untrusted)
{
	x = t[7];
	return 0;
}

TP(unc_ok)
{
	return unc((void*)f);
}

__noinline int uncw(char *t __arg_untrusted)
{
	t[7] = 1;
	return 0;
}

TP(uncw_)
{
	return uncw((void*)f);
}

__noinline int unl(struct task_struct *t __arg_untrusted)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (a) bpf_task_release(a);
	return 0;
}

TP(unl_)
{
	return unl(t);
}

__noinline int unt(struct task_struct *t __arg_untrusted __arg_nullable)
{
	return 0;
}

TP(unt_)
{
	return unt(t);
}
struct own { int a, b; };

__noinline int uno(struct own *t __arg_untrusted)
{
	x = t->b;
	return 0;
}

TP(uno_)
{
	struct own o = {};
	return uno(&o);
}
union sigval { int sival_int; }; 

__noinline int unu(union sigval *t __arg_untrusted)
{
	x = t != 0;
	return 0;
}

TP(unu_)
{
	return unu((void*)f);
}
enum e1 { A1 };

__noinline int une(enum e1 *t __arg_untrusted)
{
	x = *t;
	return 0;
}

TP(une_)
{
	return une((void*)f);
}
typedef struct task_struct tst;

__noinline int utd(tst *t __arg_untrusted)
{
	x = t->pid;
	return 0;
}

TP(utd_)
{
	return utd((void*)f);
}

__noinline int cx(void *c __arg_ctx)
{
	return 0;
}

TP(cx_)
{
	return cx(ctx);
}

__noinline int cx8(u64 *c __arg_ctx)
{
	x = c[0] != 0;
	return 0;
}

TP(cx8_)
{
	return cx8(ctx);
}

__noinline int cxw(struct task_struct *c __arg_ctx)
{
	return 0;
}

TP(cxw_)
{
	return cxw((void*)ctx);
}

SEC("kprobe/x")
int kp(struct pt_regs *c)
{
	return 0;
}

__noinline int kpr(struct pt_regs *c __arg_ctx)
{
	x = c->ax;
	return 0;
}

SEC("kprobe/x")
int kp1(struct pt_regs *c)
{
	return kpr(c);
}

__noinline int kpu(bpf_user_pt_regs_t*c)
{
	return c != 0;
}

SEC("kprobe/x")
int kp2(struct pt_regs *c)
{
	return kpu((void*)c);
}

__noinline int kpv(void *c __arg_ctx)
{
	return 0;
}

SEC("kprobe/x")
int kp3(struct pt_regs *c)
{
	return kpv(c);
}

SEC("tp/sched/sched_switch")
int tp1(void *c)
{
	return cx(c);
}

SEC("raw_tp/sys_enter")
int rt1(struct bpf_raw_tracepoint_args *c)
{
	return cx8((void*)c);
}

__noinline int rtc(struct bpf_raw_tracepoint_args *c __arg_ctx)
{
	x = c->args[0];
	return 0;
}

SEC("raw_tp/sys_enter")
int rt2(struct bpf_raw_tracepoint_args *c)
{
	return rtc(c);
}

SEC("perf_event")
int pe1(struct bpf_perf_event_data *c)
{
	return cx(c);
}

__noinline int pec(struct bpf_perf_event_data *c __arg_ctx)
{
	x = c->sample_period;
	return 0;
}

SEC("perf_event")
int pe2(struct bpf_perf_event_data *c)
{
	return pec(c);
}

SEC("syscall")
int sy1(void *c)
{
	return cx(c);
}

__noinline int skc(struct __sk_buff *c)
{
	return c->len;
}

SEC("tc")
int tc1(struct __sk_buff *c)
{
	return skc(c);
}

__noinline int skk(struct sk_buff *c __arg_ctx)
{
	return c != 0;
}

SEC("tc")
int tc2(struct __sk_buff *c)
{
	return skk((void*)c);
}

SEC("iter/task")
int BPF_PROG(it1, struct bpf_iter_meta *m, struct task_struct *t)
{
	return cx(ctx);
}

__noinline int itc(struct bpf_iter__task *c __arg_ctx)
{
	x = c->task != 0;
	return 0;
}

SEC("iter/task")
int it2(struct bpf_iter__task *c)
{
	return itc(c);
}
