/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/memory_watch.h"

#include "base/fd.h"
#include "isolate/isolate.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static uint64_t inner_kills(int file)
{
	struct stat st;

	return file < 0 || fstat(file, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static int open_kills(int state_dirfd)
{
	return openat(state_dirfd, ISOLATE_OOM_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

static int watch_one(const struct memory_watch *w, int fd, uint32_t events, struct err *err)
{
	struct epoll_event e = {.events = events};

	return epoll_ctl(w->fd, EPOLL_CTL_ADD, fd, &e) < 0 ? err_sys(err, "cannot watch for lack of memory")
							   : 0;
}

static int watch_group(struct memory_watch *w, struct err *err)
{
	short events = 0;

	w->group = cgroup_oom_watch(w->cgroup, &events, err);
	/* POLLPRI and POLLIN are epoll's bits too. */
	return w->group < 0 ? w->group : watch_one(w, w->group, (uint32_t)events, err);
}

static int watch_file(struct memory_watch *w, struct err *err)
{
	struct fd_path path = fd_path(w->file);

	w->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->changes < 0 || inotify_add_watch(w->changes, path.s, IN_MODIFY) < 0)
		return err_sys(err, "cannot watch " ISOLATE_OOM_FILE);
	return watch_one(w, w->changes, EPOLLIN, err);
}

int memory_watch_begin(struct memory_watch *w, int state_dirfd, const struct cgroup *cgroup, struct err *err)
{
	int r = 0;

	*w = (struct memory_watch){.cgroup = cgroup,
				   .fd = epoll_create1(EPOLL_CLOEXEC),
				   .group = -1,
				   .changes = -1,
				   .file = open_kills(state_dirfd)};
	if (w->fd < 0)
		r = err_sys(err, "cannot watch for lack of memory");
	/* Where only the container's kernel can tell, it is enough. */
	if (r == 0 && !(cgroup->none && w->file >= 0)) {
		w->kills = cgroup_oom_kills(cgroup);
		r = watch_group(w, err);
	}
	if (r == 0 && w->file >= 0) {
		r = watch_file(w, err);
		w->inner = inner_kills(w->file);
	}
	if (r < 0)
		memory_watch_end(w);
	return r;
}

int memory_watch_seen(struct memory_watch *w)
{
	char events[1024];
	int seen = w->group < 0 ? 0 : cgroup_oom_seen(w->cgroup, w->group, &w->kills);

	if (w->changes >= 0)
		ignore_result(read(w->changes, events, sizeof(events)) <
			      0); /* the file's size is what counts */
	uint64_t inner = inner_kills(w->file), more = inner > w->inner ? inner - w->inner : 0;
	w->inner = inner;
	return seen < 0 && more == 0 ? seen
				     : (int)MIN_OF(more + (uint64_t)MAX_OF(seen, 0), (uint64_t)INT_MAX);
}

bool memory_watch_missed(const struct memory_watch *w)
{
	return cgroup_oom_kills(w->cgroup) > w->kills || inner_kills(w->file) > w->inner;
}

void memory_watch_end(struct memory_watch *w)
{
	fd_drop(&w->fd);
	fd_drop(&w->group);
	fd_drop(&w->file);
	fd_drop(&w->changes);
}

uint64_t memory_kills(int state_dirfd, const struct cgroup *cgroup)
{
	autoclose int file = open_kills(state_dirfd);

	return cgroup_oom_kills(cgroup) + inner_kills(file);
}
