/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine stands still to be saved, and goes on, here or
 * in a copy (wire/guest.h).
 *
 * The file share is the one thing that is half inside and half outside.  With
 * the container's processes frozen, nobody asks it anything but the kernel
 * itself, which writes back what was written by mapping (sync) and ends what
 * it has begun: then the connection has no request that waits for an answer,
 * as its own count says (fusectl).  What may still be under way are FORGETs,
 * which have no answer; one question more, behind them, pushes them out.
 */
#include "agent/agent.h"
#include "agent/job.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

enum { QUIET_MS = 10000 };
#define FUSECTL "/run/coffer/fusectl"

static int requests_waiting(const char *path, uint64_t *ret, struct err *err)
{
	char text[32];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return err_sys(err, "cannot read \"%s\"", path);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, 10, ret) < 0 ? err_set(err, EBADMSG, "\"%s\" has no number", path) : 0;
}

static int await_silence(const char *share, struct err *err)
{
	const int64_t until = clock_ms() + QUIET_MS;
	uint64_t waiting = 1;
	struct statfs fs;
	struct stat st;
	int r = 0;

	if (statfs(share, &fs) < 0 || stat(share, &st) < 0)
		return err_sys(err, "cannot ask the file share");
	autofree char *path = str_format(FUSECTL "/%u/waiting", minor(st.st_dev));
	if (!path)
		return err_oom(err);
	while ((r = requests_waiting(path, &waiting, err)) == 0 && waiting > 0) {
		if (clock_ms() > until)
			return err_set(err, ETIMEDOUT, "requests of the file share do not come to an end");
		(void)usleep(1000);
	}
	if (r == 0 && statfs(share, &fs) < 0)
		r = err_sys(err, "cannot ask the file share");
	return r;
}

static int quiet_share(const struct agent *a, struct err *err)
{
	if (!a->shared)
		return 0;
	int r = file_mkdir_all(FUSECTL, 0700);
	if (r < 0)
		return err_num(err, r, "cannot make " FUSECTL);
	/* In the job's own view: it goes with it. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", FUSECTL, "fusectl", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(err, "cannot look at the file share's requests");
	sync();
	return await_silence(a->shared, err);
}

int job_freeze(struct agent *a, const struct job_order *o unused, struct job_answer *ret unused,
	       struct err *err)
{
	const struct container *c = &a->still;
	struct err ignored = {0};
	int r = c->level->pause(&c->sandbox, err);

	if (r < 0)
		return r;
	r = quiet_share(a, err);
	if (r < 0)
		ignore_result(
			c->level->resume(&c->sandbox, &ignored)); /* why it is not saved is what counts */
	return r;
}

/* What the host calls paused is the host's business: who was killed on the way there may ask again. */
static int change_container(struct agent *a, bool still, struct err *err)
{
	enum life_state state = LIFE_STOPPED;
	autocontainer struct container c;
	int r = container_load(&a->rt, a->id, CONTAINER_CONFIG, &c, err);

	if (r == 0)
		r = container_state(&c, &state, err);
	if (r == 0 && state == (still ? LIFE_PAUSED : LIFE_RUNNING))
		return 0;
	if (r == 0)
		r = container_may(&c, still ? LIFE_PAUSE : LIFE_RESUME, NULL, err);
	if (r == 0)
		r = still ? c.level->pause(&c.sandbox, err) : c.level->resume(&c.sandbox, err);
	return r;
}

int job_pause(struct agent *a, const struct job_order *o unused, struct job_answer *ret unused,
	      struct err *err)
{
	return change_container(a, true, err);
}

int job_resume(struct agent *a, const struct job_order *o unused, struct job_answer *ret unused,
	       struct err *err)
{
	return change_container(a, false, err);
}

/*
 * ---- in the agent itself ----
 *
 * What a copy does is what its start takes: no child, and nothing that can be looked up before.
 */

int freeze_prepare(struct agent *a, struct err *err)
{
	int r = container_load(&a->rt, a->id, CONTAINER_CONFIG, &a->still, err);

	a->freezing = r == 0;
	return r;
}

static void freeze_forget(struct agent *a)
{
	container_close(&a->still);
	a->freezing = a->frozen = false;
}

/* Its job has undone what it did, if it could: one that was killed has not. */
void freeze_failed(struct agent *a)
{
	struct err ignored = {0};

	if (!a->freezing)
		return;
	ignore_result(
		a->still.level->resume(&a->still.sandbox, &ignored)); /* the answer tells of a failure */
	freeze_forget(a);
}

static int enter_uts(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)pid); /* fits */
	autoclose int ns = open(path, O_RDONLY | O_CLOEXEC);
	return ns < 0 || setns(ns, CLONE_NEWUTS) < 0 ? -errno : 0;
}

/* A copy has another name. */
static int rename_container(const struct container *c, const char *name, size_t len)
{
	autoclose int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	int r = own < 0 ? -errno : enter_uts(c->sandbox.pid);

	if (r < 0)
		return r;
	r = sethostname(name, len) < 0 ? -errno : 0;
	return setns(own, CLONE_NEWUTS) < 0 ? -errno : r;
}

int freeze_end(struct agent *a, const char *name, size_t len, struct err *err)
{
	int r = len ? rename_container(&a->still, name, len) : 0;

	if (r < 0)
		return err_num(err, r, "cannot set the container's host name");
	r = a->still.level->resume(&a->still.sandbox, err);
	if (r == 0)
		freeze_forget(a);
	return r;
}
