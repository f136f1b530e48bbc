/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stub is told: a list of commands that put a program into its
 * process, and the first stack frame.
 *
 * The whole extent of an object is reserved first, where nothing is mapped
 * yet; after that its segments can go nowhere else, whatever the file says:
 * neither over the stub, which is still at work, nor over stack or vdso.
 *
 * The host's execve has put arguments, environment and auxiliary vector onto
 * the stack.  The pointers to them move down a little, so that strings fit
 * behind: the program's name and a script's arguments.
 */
#include "sentry/platform/image.h"

#include "sentry/guest.h"
#include "sentry/platform/stub_x86_64.h"

#include <linux/prctl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

enum {
	PAGE = 4096,
	FRAME_MAX = 16 << 20,
	STRINGS_MAX = 64 << 10,
	AUX_MAX = 64,
	LIST_ROOM = STUB_LIST_MAX - PAGE
};

/* Where Linux puts position-independent programs: at two thirds of the address space. */
static const uint64_t program_base = UINT64_C(0x555555554000), program_spread = UINT64_C(1) << 28;
static const uint64_t interp_gap = 32 << 20, interp_spread = 4096, brk_spread = 0x2000;

struct loader {
	struct task *t;
	struct image *x;
	struct stub_command *list;
	size_t n;
	uint64_t stub, list_at;
	uint64_t base, interp_base; /* what is added to the addresses of the objects */
	uint64_t sp, brk;
	uint64_t stack; /* the first frame as the host has made it */
	uint64_t slots; /* a page for call sites that are patched: the stub's own, or another of its image */
	struct prctl_mm_map map;
	bool full;
};

static void add_command(struct loader *l, int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
			uint64_t e, uint64_t f)
{
	if ((l->n + 1) * sizeof(*l->list) > LIST_ROOM) {
		l->full = true;
		return;
	}
	l->list[l->n++] = (struct stub_command){.nr = nr, .args = {a, b, c, d, e, f}};
}

static uint64_t page_down(uint64_t x)
{
	return x & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_up(uint64_t x)
{
	return page_down(x + PAGE - 1);
}

/* ---- objects ---- */

static void load_segment(struct loader *l, const struct elf_segment *s, uint64_t base, int fd)
{
	const uint64_t fixed = MAP_PRIVATE | MAP_FIXED, none = (uint64_t)-1;
	uint64_t start = page_down(base + s->vaddr), file_end = base + s->vaddr + s->filesz;
	uint64_t end = page_up(base + s->vaddr + s->memsz), mapped = start;
	if (s->filesz) {
		add_command(l, SYS_mmap, start, page_up(file_end) - start, (uint64_t)s->prot, fixed,
			    (uint64_t)fd, page_down(s->offset));
		mapped = page_up(file_end);
		/* A read-only segment with a tail that ought to be zero: Linux leaves it, too. */
		if (s->memsz > s->filesz && mapped > file_end && s->prot & PROT_WRITE)
			add_command(l, STUB_ZERO, file_end, mapped - file_end, 0, 0, 0, 0);
	}
	if (end > mapped)
		add_command(l, SYS_mmap, mapped, end - mapped, (uint64_t)s->prot, fixed | MAP_ANONYMOUS, none,
			    0);
}

static void add_object(struct loader *l, const struct elf_object *o, uint64_t base, int fd)
{
	add_command(l, SYS_mmap, base + o->low, o->high - o->low, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
	uint64_t end = base + o->low;
	for (size_t i = 0; i < o->nsegments; i++) {
		const struct elf_segment *s = &o->segments[i];
		uint64_t start = page_down(base + s->vaddr);
		if (start > end)
			add_command(l, SYS_munmap, end, start - end, 0, 0, 0, 0);
		load_segment(l, s, base, fd);
		end = MAX_OF(end, page_up(base + s->vaddr + s->memsz));
	}
}

static uint64_t random_below(uint64_t n)
{
	uint64_t x = 0;
	ignore_result(getrandom(&x, sizeof(x), 0)); /* cannot fail for 8 bytes */
	return x % n;
}

static int choose_places(struct loader *l)
{
	const struct elf_object *o = &l->x->elf, *i = &l->x->interp;
	if (!o->fixed) {
		uint64_t at = program_base + random_below(program_spread) * PAGE;
		l->base = ((at + o->align - 1) & ~(o->align - 1)) - (o->low & ~(o->align - 1));
	}
	/* Without a limit of the stack the host maps upwards from a third of the address space: the stub is
	 * below. */
	if (!o->fixed && l->base + o->high > (l->stub > l->base ? l->stub : page_down(l->stack)))
		return -ENOMEM;
	l->brk = page_up(l->base + o->high) + random_below(brk_spread) * PAGE;
	l->slots = l->stub; /* libraries are near */
	if (l->x->interp_fd < 0) {
		l->slots = page_down(l->base + o->low) - PAGE;
		return 0;
	}
	uint64_t size = i->high - i->low + i->align, gap = interp_gap + random_below(interp_spread) * PAGE;
	if (i->fixed)
		return 0;
	if (size >= l->stub / 2 || l->stub < UINT64_C(1) << 40)
		return -ENOMEM;
	l->interp_base = ((l->stub - gap - size) & ~(i->align - 1)) - (i->low & ~(i->align - 1));
	return 0;
}

/* ---- the first frame ---- */

struct frame {
	uint64_t *words;	   /* argc, argv, NULL, envp, NULL, auxv */
	size_t n, argc, envc, aux; /* aux: index of the first pair */
};

static int read_frame(const struct task *t, uint64_t sp, struct frame *ret)
{
	for (size_t size = 2048;; size *= 2) {
		struct frame f = {.words = malloc(size)};
		if (!f.words)
			return -ENOMEM;
		ssize_t got = guest_read_some(t, f.words, sp, size);
		size_t n = got > 0 ? (size_t)got / 8 : 0, i = 1;
		f.argc = n ? f.words[0] : 0;
		if (f.argc < n) {
			i = f.argc + 2;
			for (; i < n && f.words[i]; i++)
				f.envc++;
			f.aux = ++i;
			for (; i + 1 < n && f.words[i]; i += 2)
				continue;
			f.n = i + 2;
			if (f.n <= n) {
				*ret = f;
				return 0;
			}
		}
		free(f.words);
		if (got < (ssize_t)size || size >= FRAME_MAX)
			return -EFAULT;
	}
}

static void set_aux(struct frame *f, uint64_t type, uint64_t value)
{
	for (size_t i = f->aux; f->words[i] != AT_NULL; i += 2)
		if (f->words[i] == type)
			f->words[i + 1] = value;
}

static uint64_t get_aux(const struct frame *f, uint64_t type)
{
	for (size_t i = f->aux; f->words[i] != AT_NULL; i += 2)
		if (f->words[i] == type)
			return f->words[i + 1];
	return 0;
}

static void fill_aux(const struct loader *l, struct frame *f)
{
	const struct elf_object *o = &l->x->elf;
	const struct creds *c = l->t->creds;
	set_aux(f, AT_PHDR, o->phdrs ? l->base + o->phdrs : 0);
	set_aux(f, AT_PHNUM, o->nphdrs);
	set_aux(f, AT_ENTRY, l->base + o->entry);
	set_aux(f, AT_BASE,
		l->x->interp_fd >= 0 ? l->interp_base + (l->x->interp.fixed ? l->x->interp.low : 0) : 0);
	set_aux(f, AT_UID, c->uid);
	set_aux(f, AT_EUID, c->euid);
	set_aux(f, AT_GID, c->gid);
	set_aux(f, AT_EGID, c->egid);
	set_aux(f, AT_SECURE, l->x->secure);
}

struct strings {
	char text[STRINGS_MAX];
	size_t n;
};

static int add_string(struct strings *s, const char *text)
{
	size_t n = strlen(text) + 1;
	if (n > sizeof(s->text) - s->n)
		return -E2BIG;
	memcpy(s->text + s->n, text, n);
	s->n += n;
	return 0;
}

/*
 * A script's arguments as one run of strings, as /proc/PID/cmdline wants them: what `#!` asks for, then the
 * guest's own but for the first.  Where those are too long the latter stay where they are.  argv[i] = offset
 * in s.
 */
static int put_script_args(struct loader *l, const struct frame *f, struct strings *s, size_t *ret_copied)
{
	const struct image *x = l->x;
	for (size_t i = 0; i < x->nargs; i++)
		if (add_string(s, x->args[i]) < 0)
			return -E2BIG;
	*ret_copied = 0;
	if (f->argc < 2)
		return 0;
	uint64_t from = f->words[2], end = f->envc ? f->words[f->argc + 2] : get_aux(f, AT_EXECFN);
	if (end < from || end - from > sizeof(s->text) - s->n ||
	    guest_read(l->t, s->text + s->n, from, end - from) < 0)
		return 0;
	s->n += end - from;
	*ret_copied = end - from;
	return 0;
}

static int write_frame(struct loader *l, struct frame *f, uint64_t sp)
{
	const struct image *x = l->x;
	autofree struct strings *s = calloc(1, sizeof(*s));
	size_t copied = 0, own = f->argc ? f->argc - 1 : 0, nargs = x->nargs ? x->nargs + own : f->argc;
	if (!s || add_string(s, x->path) < 0)
		return s ? -E2BIG : -ENOMEM;
	size_t args_at = s->n;
	int r = x->nargs ? put_script_args(l, f, s, &copied) : 0;
	if (r)
		return r;
	uint64_t old_end = sp + f->n * 8, strings = (old_end - s->n) & ~UINT64_C(15);
	size_t words = f->n - f->argc + nargs;
	l->sp = (strings - words * 8) & ~UINT64_C(15);
	autofree uint64_t *new = calloc(words, 8);
	if (!new)
		return -ENOMEM;

	l->map.arg_start = f->argc ? f->words[1] : get_aux(f, AT_EXECFN);
	l->map.env_end = get_aux(f, AT_EXECFN);
	l->map.env_start = l->map.arg_end = f->envc ? f->words[f->argc + 2] : l->map.env_end;
	set_aux(f, AT_EXECFN, strings);
	new[0] = nargs;
	if (x->nargs) {
		uint64_t at = strings + args_at, moved = 0;
		l->map.arg_start = at;
		for (size_t i = 0; i < x->nargs; i++) {
			new[1 + i] = at;
			at += strlen(x->args[i]) + 1;
		}
		if (copied)
			moved = at - f->words[2];
		l->map.arg_end = at + copied;
		for (size_t i = 0; i < own; i++)
			new[1 + x->nargs + i] = f->words[2 + i] + moved;
	} else {
		memcpy(&new[1], &f->words[1], nargs * 8);
	}
	memcpy(&new[1 + nargs], &f->words[1 + f->argc], (f->n - 1 - f->argc) * 8);
	l->map.auxv = (__u64 *)(uintptr_t)(l->sp + (1 + nargs + 1 + f->envc + 1) * 8); // NOLINT: the guest's
	l->map.auxv_size = (uint32_t)((f->n - f->aux) * 8);
	l->map.start_stack = l->sp;
	r = guest_write(l->t, l->sp, new, words * 8);
	return r ? r : guest_write(l->t, strings, s->text, s->n);
}

/* ---- the list ---- */

/* They are numbered upwards. */
static int last_in_stub(const struct image *x)
{
	return MAX_OF(x->in_stub, MAX_OF(x->interp_in_stub, x->tty_in_stub));
}

static int give_descriptors(struct image *x, uint64_t id)
{
	if (x->in_stub < 0)
		x->in_stub = notify_add_fd(id, x->fd, -1, true);
	if (x->in_stub < 0)
		return x->in_stub;
	if (x->interp_fd >= 0 && x->interp_in_stub < 0)
		x->interp_in_stub = notify_add_fd(id, x->interp_fd, x->in_stub + 1, true);
	if (x->interp_fd >= 0 && x->interp_in_stub < 0)
		return x->interp_in_stub;
	if (x->tty_fd >= 0 && x->tty_in_stub < 0)
		x->tty_in_stub = notify_add_fd(id, x->tty_fd, last_in_stub(x) + 1, true);
	return x->tty_fd >= 0 && x->tty_in_stub < 0 ? x->tty_in_stub : 0;
}

static void fill_map(struct loader *l)
{
	const struct elf_object *o = &l->x->elf;
	l->map.start_code = l->base + o->low;
	l->map.end_code = MAX_OF(l->base + o->code_end, l->map.start_code + 1);
	l->map.start_data = l->base + o->data_start;
	l->map.end_data = MAX_OF(l->base + o->data_end, l->map.start_data);
	l->map.start_brk = l->map.brk = l->brk;
	l->map.exe_fd = (uint32_t)-1;
}

/* Names and numbers that the commands point to stand behind them. */
static int write_commands(struct loader *l, uint64_t sp)
{
	const struct image *x = l->x;
	char tail[PAGE] = {0};
	uint64_t tail_at = l->list_at + LIST_ROOM;
	size_t map_at = TASK_COMM_LEN, action_at = map_at + sizeof(l->map),
	       end = action_at + 4 * sizeof(uint64_t);
	memcpy(tail, l->t->comm, TASK_COMM_LEN);
	fill_map(l);
	memcpy(tail + map_at, &l->map, sizeof(l->map));

	add_object(l, &x->elf, l->base, x->in_stub);
	if (x->interp_fd >= 0)
		add_object(l, &x->interp, l->interp_base, x->interp_in_stub);
	if (l->slots != l->stub && l->slots < l->stub && patch_new_image(l->t, l->slots))
		add_command(l, SYS_mmap + STUB_TRY, l->slots, PAGE, PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_FIXED_NOREPLACE, STUB_FD, 0);
	else if (l->slots == l->stub)
		(void)patch_new_image(l->t, l->slots);
	if (x->elf.exec_stack)
		add_command(l, SYS_mprotect, page_down(sp), PAGE,
			    PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN, 0, 0, 0);
	add_command(l, SYS_prctl + STUB_TRY, PR_SET_NAME, tail_at, 0, 0, 0, 0);
	add_command(l, SYS_prctl + STUB_TRY, PR_SET_MM, PR_SET_MM_MAP, tail_at + map_at, sizeof(l->map), 0,
		    0);
	if (x->new_session) {
		add_command(l, SYS_setsid + STUB_TRY, 0, 0, 0, 0, 0, 0);
		if (x->tty_in_stub >= 0)
			add_command(l, SYS_ioctl + STUB_TRY, (uint64_t)x->tty_in_stub, TIOCSCTTY, 0, 0, 0, 0);
		/* The zygote's, which waits for nobody; `action` is all zeroes: the default. */
		add_command(l, SYS_rt_sigaction, SIGCHLD, tail_at + action_at, 0, sizeof(uint64_t), 0, 0);
	}
	add_command(l, SYS_close_range, (uint64_t)x->in_stub, (uint64_t)last_in_stub(x), 0, 0, 0, 0);
	add_command(l, STUB_END, l->sp,
		    x->interp_fd >= 0 ? l->interp_base + x->interp.entry : l->base + x->elf.entry, 0, 0, 0,
		    0);
	if (l->full)
		return -E2BIG;
	int r = guest_write(l->t, l->list_at, l->list, l->n * sizeof(*l->list));
	return r ? r : guest_write(l->t, tail_at, tail, end);
}

int image_load(struct task *t, uint64_t notify_id, uint64_t sp, uint64_t list)
{
	struct loader l = {
		.t = t, .x = t->platform->image, .list_at = list, .stub = list - STUB_CODE_MAX, .stack = sp};
	struct frame f;
	int r = give_descriptors(l.x, notify_id);
	if (r)
		return r;
	r = choose_places(&l);
	if (!r)
		r = read_frame(t, sp, &f);
	if (r)
		return r;
	autofree uint64_t *words = f.words;
	autofree struct stub_command *commands = malloc(LIST_ROOM);
	l.list = commands;
	if (!commands)
		return -ENOMEM;
	fill_aux(&l, &f);
	r = write_frame(&l, &f, sp);
	return r ? r : write_commands(&l, sp);
}
