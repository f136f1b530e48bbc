/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts: where they come from, and what is set on them.
 *
 * A source on the host was cloned by the parent, whom neither the container's
 * identity nor its mount namespace limits.  A source inside the root file
 * system may be one of the mounts before it: it is looked up now, in the root.
 * What the parent had no right to clone (rootless) is opened by path here.
 */
#include "isolate/ns/mounts.h"

#include "host/resolve.h"

#define LOCKABLE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define ATIME_FLAGS    (MS_NOATIME | MS_RELATIME | MS_STRICTATIME | MS_NODIRATIME)
#define ATIME_ATTRS    ((uint64_t)(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME))

void ns_source_close(struct ns_source *s)
{
	if (!s->borrowed)
		fd_drop(&s->fd);
}

int ns_source_open(const struct ns_mount_env *env, const struct ns_mount *mount, struct ns_source *ret,
		   struct err *err)
{
	int fd;

	if (mount->options.flags & MS_REMOUNT)
		return 0;
	if (mount->tree >= 0) {
		*ret = (struct ns_source){
			.fd = mount->tree, .detached = env->m->kernel.api, .borrowed = true};
		return 0;
	}
	if (mount->inner) {
		fd = resolve_in_root(env->root->root_fd, mount->inner, RESOLVE_EXISTING, NULL);
	} else {
		fd = open(mount->source, O_PATH | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return mount_failed(err, fd, "stat %s", mount->source);
	*ret = (struct ns_source){.fd = fd};
	return 0;
}

static int clone_of(int source, bool detached, bool recursive)
{
	int fd;

	if (!detached)
		return mount_clone_fd(source, recursive);
	fd = fcntl(source, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

int ns_mount_bind_at(const struct ns_mount_env *env, int source, bool detached, bool recursive,
		     const struct ns_place *at, struct err *err)
{
	const struct mount_kernel *k = &env->m->kernel;
	int r;

	if (!k->api) {
		r = mount_old_bind(k, source, at->fd, recursive);
		return r < 0 ? mount_failed(err, r, "bind mount") : ns_mount_reopen(env, at, err);
	}
	autoclose int clone = clone_of(source, detached, recursive);
	if (clone < 0)
		return mount_failed(err, clone, "open_tree");
	r = mount_attach(clone, at->fd);
	return r < 0 ? mount_failed(err, r, "mount onto the target") : take_fd(&clone);
}

int ns_mount_bind_fd(const struct mount_kernel *k, int source, int target)
{
	if (!k->api)
		return mount_old_bind(k, source, target, false);
	autoclose int tree = mount_clone_fd(source, false);
	return tree < 0 ? tree : mount_attach(tree, target);
}

/* A bind mount inherits the host's propagation; what the root's says holds for it too. */
static int set_propagation(const struct ns_mount_env *env, const struct ns_mount *mount, int fd,
			   struct err *err)
{
	const struct mount_options *o = &mount->options;
	unsigned long first = o->n_propagation > 0 ? o->propagation[0] : 0;
	bool private = env->m->propagation & (MS_PRIVATE | MS_UNBINDABLE);
	/* A clone that the parent made is a peer of the host's mount; one made here is a slave already. */
	bool inherits = mount->kind == NS_MOUNT_BIND && env->m->own_mount_ns &&
			(mount->tree >= 0 || private) && !(env->m->propagation & MS_SHARED);

	if (inherits && !((first & MS_REC) && (first & (MS_PRIVATE | MS_UNBINDABLE)))) {
		struct mount_change change = {.propagation = private ? MS_PRIVATE : MS_SLAVE,
					      .recursive = true};
		int r = mount_change(&env->m->kernel, fd, &change);
		if (r < 0)
			return mount_failed(err, r, "change of mount propagation");
	}
	for (size_t i = 0; i < o->n_propagation; i++) {
		struct mount_change change = {.propagation = o->propagation[i] & ~(unsigned long)MS_REC,
					      .recursive = o->propagation[i] & MS_REC};
		int r = mount_change(&env->m->kernel, fd, &change);
		if (r < 0)
			return mount_failed(err, r, "change of mount propagation");
	}
	return 0;
}

static int set_recursive(const struct ns_mount_env *env, const struct mount_options *o, int fd,
			 struct err *err)
{
	struct mount_change change = {.set = o->rec_set, .clear = o->rec_clear, .recursive = true};

	if (!o->rec_set && !o->rec_clear)
		return 0;
	int r = mount_change(&env->m->kernel, fd, &change);
	return r < 0 ? mount_failed(err, r, "recursive mount attributes") : 0;
}

int ns_mount_settle(const struct ns_mount_env *env, const struct ns_mount *mount, int fd, struct err *err)
{
	int r = set_propagation(env, mount, fd, err);

	return r < 0 ? r : set_recursive(env, &mount->options, fd, err);
}

/*
 * The parent's clone carries no locks, but a container with a user namespace
 * is to see the host's mounts as the kernel would show them to it.
 */
static int respect_locks(int fd, const struct mount_change *change)
{
	uint64_t locked = 0;
	int r = mount_attr_read(fd, &locked);

	if (r < 0)
		return r;
	if (change->clear & locked & mount_attr_of_flags(LOCKABLE_FLAGS))
		return -EPERM;
	if ((change->clear & ATIME_ATTRS) && (change->set & ATIME_ATTRS) != (locked & ATIME_ATTRS))
		return -EPERM;
	return 0;
}

/* nosymfollow is of 5.14: not to be named where it does not matter. */
static int change_flags(const struct mount_kernel *k, int fd, struct mount_change change, bool named)
{
	int r = mount_change(k, fd, &change);

	if (r == -EINVAL && !named && (change.clear & MOUNT_ATTR_NOSYMFOLLOW)) {
		change.clear &= ~(uint64_t)MOUNT_ATTR_NOSYMFOLLOW;
		r = mount_change(k, fd, &change);
	}
	return r;
}

/*
 * Flags of a bind mount, where any are given.  As with runc they replace those
 * of the source; but what is locked (a user namespace sees a mount that its
 * maker made nosuid) stays, and to turn it off by name is an error.  Times of
 * access change only where one of them is asked for, as with mount(8).
 */
static int set_flags(const struct ns_mount_env *env, const struct ns_mount *mount, int fd, struct err *err)
{
	const struct mount_options *o = &mount->options;
	const unsigned long meaningless = MS_BIND | MS_REC | MS_REMOUNT;
	const struct mount_kernel *k = &env->m->kernel;
	bool named = (o->flags | o->cleared) & MS_NOSYMFOLLOW;
	struct mount_change change = {.set = mount_attr_of_flags(o->flags),
				      .clear = mount_attr_of_flags(o->cleared) & ~ATIME_ATTRS};
	bool has_locks = env->m->own_user_ns && mount->tree >= 0;
	int r;

	if (!(o->flags & ~meaningless) && !o->cleared)
		return 0;
	if (o->flags & ATIME_FLAGS)
		change.clear |= ATIME_ATTRS;
	if (!(o->flags & MS_REMOUNT) && !(change.set & MOUNT_ATTR_NOSYMFOLLOW))
		change.clear |= MOUNT_ATTR_NOSYMFOLLOW;
	if (has_locks || (o->flags & MS_REMOUNT)) {
		r = has_locks ? respect_locks(fd, &change) : 0;
		if (r == 0)
			r = change_flags(k, fd, change, named);
	} else {
		struct mount_change replacing = change;
		replacing.clear |= mount_attr_of_flags(LOCKABLE_FLAGS) & ~change.set;
		r = change_flags(k, fd, replacing, named);
		if (r == -EPERM)
			r = change_flags(k, fd, change, named);
	}
	return r < 0 ? mount_failed(err, r, "failed to set user-requested vfs flags on bind-mount") : 0;
}

/* Ids are mapped while the mount is detached, so this is no matter of flags. */
static int bind_mapped(const struct ns_mount_env *env, const struct ns_mount *mount,
		       const struct ns_source *source, const struct ns_place *at, struct err *err)
{
	int r;

	if (!env->m->kernel.api || !env->m->kernel.setattr)
		return mount_failed(err, ENOSYS, "failed to set MOUNT_ATTR_IDMAP on %s", mount->source);
	autoclose int clone = mount_clone_fd(source->fd, mount->options.flags & MS_REC);
	if (clone < 0)
		return mount_failed(err, clone, "open_tree");
	r = ns_idmap_apply(env->m, mount, clone, err);
	return r < 0 ? r : ns_mount_bind_at(env, clone, true, false, at, err);
}

int ns_mount_bind(const struct ns_mount_env *env, const struct ns_mount *mount,
		  const struct ns_source *source, const struct ns_place *at, int *ret_fd, struct err *err)
{
	unsigned long flags = mount->options.flags;
	autoclose int fd = -1;
	int r;

	if (flags & MS_REMOUNT)
		fd = fcntl(at->fd, F_DUPFD_CLOEXEC, 3);
	else if (mount->idmap_ns >= 0)
		fd = bind_mapped(env, mount, source, at, err);
	else
		fd = ns_mount_bind_at(env, source->fd, source->detached, flags & MS_REC, at, err);
	if (fd < 0)
		return flags & MS_REMOUNT ? err_sys(err, "cannot duplicate a descriptor") : fd;
	r = set_flags(env, mount, fd, err);
	if (r == 0)
		r = ns_mount_settle(env, mount, fd, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
