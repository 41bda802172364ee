/* Programs that sleep, and sections in which they must not. */
#include "kernel.h"
int x;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, int); __type(value, u64);} am SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, 8); __uint(key_size, 8); __type(value, u64);} lpm SEC(".maps");
#define SY(n) SEC("syscall") int n(void *c)
#define IT(n) SEC("iter.s/task") int BPF_PROG(n, struct bpf_iter_meta *m, struct task_struct *t)
IT(n1) { if(!t) return 0; x = t->group_leader->pid; return 0; }
IT(n2) { struct task_struct *g; if(!t) return 0; g = bpf_task_acquire(t->group_leader); if(g) bpf_task_release(g); return 0; }
IT(n3) { struct task_struct *g; if(!t) return 0; bpf_rcu_read_lock(); g = bpf_task_acquire(t->group_leader); bpf_rcu_read_unlock(); if(g) bpf_task_release(g); return 0; }
IT(n4) { struct task_struct *g; if(!t) return 0; bpf_rcu_read_lock(); g = t->real_parent; if(g) g = bpf_task_acquire(g); bpf_rcu_read_unlock(); if(g) bpf_task_release(g); return 0; }
IT(n5) { struct task_struct *g; if(!t) return 0; bpf_rcu_read_lock(); g = t->real_parent; bpf_rcu_read_unlock(); bpf_rcu_read_lock(); x = g->pid; bpf_rcu_read_unlock(); return 0; }
IT(n6) { if(!t) return 0; bpf_rcu_read_lock(); x = bpf_cpumask_first(t->cpus_ptr); bpf_rcu_read_unlock(); return 0; }
IT(n7) { if(!t) return 0; x = bpf_cpumask_first(t->cpus_ptr); return 0; }
IT(n8) { if(!t) return 0; x = bpf_cpumask_first(&t->cpus_mask); return 0; }
IT(n9) { struct css_set *s; if(!t) return 0; bpf_rcu_read_lock(); s = t->cgroups; x = s->dfl_cgrp->level; bpf_rcu_read_unlock(); return 0; }
IT(n10) { struct css_set *s; struct cgroup *g; if(!t) return 0; bpf_rcu_read_lock(); s = t->cgroups; g = s->dfl_cgrp; bpf_rcu_read_unlock(); x = g->level; return 0; }
IT(n11) { struct css_set *s; struct cgroup *g; if(!t) return 0; s = t->cgroups; bpf_rcu_read_lock(); g = s->dfl_cgrp; g = bpf_cgroup_acquire(g); bpf_rcu_read_unlock(); if(g) bpf_cgroup_release(g); return 0; }
IT(n12) { struct task_struct *c = bpf_get_current_task_btf(), *p; bpf_rcu_read_lock(); p = c->real_parent; p = p->real_parent; x = p->pid; bpf_rcu_read_unlock(); return 0; }
IT(n13) { struct task_struct *c = bpf_get_current_task_btf(), *p; bpf_rcu_read_lock(); p = c->real_parent; if(p) p = p->real_parent; if(p) p = bpf_task_acquire(p); bpf_rcu_read_unlock(); if(p) bpf_task_release(p); return 0; }
IT(n14) { struct task_struct *c = bpf_get_current_task_btf(), *p; bpf_preempt_disable(); p = c->real_parent; p = bpf_task_acquire(p); bpf_preempt_enable(); if(p) bpf_task_release(p); return 0; }
IT(n15) { struct task_struct *c = bpf_get_current_task_btf(); struct bpf_iter_task_vma it; struct vm_area_struct *v; int n = 0; bpf_iter_task_vma_new(&it, c, 0); while((v = bpf_iter_task_vma_next(&it))) n+=v->vm_start; bpf_iter_task_vma_destroy(&it); x = n; return 0; }
IT(n16) { struct task_struct *c = bpf_get_current_task_btf(); struct bpf_iter_task_vma it; bpf_iter_task_vma_new(&it, c->real_parent, 0); bpf_iter_task_vma_destroy(&it); return 0; }
IT(n17) { struct bpf_iter_css it; struct cgroup_subsys_state *p; struct cgroup *g = bpf_cgroup_from_id(1); if(!g) return 0; bpf_rcu_read_lock(); bpf_iter_css_new(&it, &g->self, 0); while((p = bpf_iter_css_next(&it))) x+=p->id; bpf_iter_css_destroy(&it); bpf_rcu_read_unlock(); bpf_cgroup_release(g); return 0; }
IT(n18) { struct bpf_iter_css it; struct cgroup_subsys_state *p, *q = 0; struct cgroup *g = bpf_cgroup_from_id(1); if(!g) return 0; bpf_rcu_read_lock(); bpf_iter_css_new(&it, &g->self, 0); while((p = bpf_iter_css_next(&it))) q = p; bpf_iter_css_destroy(&it); bpf_rcu_read_unlock(); bpf_cgroup_release(g); if(q) x = q->id; return 0; }
IT(n19) { struct bpf_iter_css_task it; struct task_struct *p; struct cgroup *g = bpf_cgroup_from_id(1); if(!g) return 0; bpf_iter_css_task_new(&it, &g->self, 0); while((p = bpf_iter_css_task_next(&it))) { struct task_struct *q = bpf_task_acquire(p); if(q) bpf_task_release(q);} bpf_iter_css_task_destroy(&it); bpf_cgroup_release(g); return 0; }
SY(m1) { int k = 0; u64 *v = bpf_map_lookup_elem(&am, &k); if(v) *v = 1; return 0; }
SY(m2) { u64 k = 0; u64 *v = bpf_map_lookup_elem(&lpm, &k); if(v) *v = 1; return 0; }
SY(m3) { u64 k = 0; u64 *v; bpf_rcu_read_lock(); v = bpf_map_lookup_elem(&lpm, &k); if(v) *v = 1; bpf_rcu_read_unlock(); return 0; }
SY(h1) { char b[8]; return bpf_copy_from_user(b, 8, 0); }
SY(h2) { char b[8]; bpf_rcu_read_lock(); bpf_probe_read_user(b, 8, 0); bpf_rcu_read_unlock(); return 0; }
SY(h3) { char b[8]; bpf_preempt_disable(); bpf_copy_from_user(b, 8, 0); bpf_preempt_enable(); return 0; }
SY(h4) { bpf_preempt_disable(); bpf_rcu_read_lock(); bpf_preempt_enable(); bpf_rcu_read_unlock(); return 0; }

static __noinline int st(void)
{
	char b[8];
	return bpf_copy_from_user(b, 8, 0);
}
SY(h5) { bpf_rcu_read_lock(); st(); bpf_rcu_read_unlock(); return 0; }
SY(h6) { for(int i = 0; i<3; i++) { bpf_rcu_read_lock(); x+=i; bpf_rcu_read_unlock(); } return 0; }
SY(h7) { for(int i = 0; i<3; i++) bpf_preempt_disable(); for(int i = 0; i<3; i++) bpf_preempt_enable(); return 0; }
SY(h8) { for(int i = 0; i<3; i++) bpf_preempt_disable(); for(int i = 0; i<2; i++) bpf_preempt_enable(); return 0; }
SY(h9) { if(x) bpf_preempt_disable(); x++; if(x) bpf_preempt_enable(); return 0; }
SY(h10) { int i; bpf_for(i, 0, 10) bpf_preempt_disable(); return 0; }
SY(h11) { int i; bpf_for(i, 0, 10) { bpf_preempt_disable(); bpf_preempt_enable(); } return 0; }
SY(h12) { int i; bpf_for(i, 0, 10) { bpf_rcu_read_lock(); if(x==i) break; bpf_rcu_read_unlock(); } return 0; }
SY(h13) { int i; bpf_rcu_read_lock(); bpf_for(i, 0, 10) { if(x==i) break; } bpf_rcu_read_unlock(); return 0; }
