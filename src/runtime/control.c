/* SPDX-License-Identifier: Apache-2.0 */
/* `kill`, `pause` and `resume`. */
#include "runtime/runtime.h"

#include "base/proc.h"
#include "runtime/container.h"
#include "runtime/lacks.h"

#include <signal.h>

/* Everything in the group.  -ESRCH where nothing is there. */
static int signal_all(const struct container *c, int sig, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = c->level->processes(&c->sandbox, &pids, &n, err);

	if (r == -ENOENT || (r == 0 && n == 0))
		return err_set(err, ESRCH, "container not running");
	return r < 0 ? r : c->level->signal(&c->sandbox, sig, true, err);
}

int runtime_kill(const struct runtime *rt, const char *id, const char *sig_text, bool all, struct err *err)
{
	autocontainer struct container c;
	int r = container_load(rt, id, CONTAINER_CONFIG | CONTAINER_SALVAGE, &c, err);

	if (r < 0)
		return r;
	int sig = runtime_signal_number(sig_text && *sig_text ? sig_text : "SIGTERM", err);
	if (sig < 0)
		return sig;
	bool alive = c.has_init && proc_alive(c.init.pid, c.init.start_time);
	/* Where no pid namespace dies with init, SIGKILL is for all of them: also for those that outlived it.
	 */
	bool everybody = all || (sig == SIGKILL && !container_has_own_pids(&c.config));
	if (!alive && !everybody)
		return life_check(LIFE_STOPPED, LIFE_KILL, id, NULL, err);
	/* Without a group of its own the container is its init as far as we can tell. */
	if (everybody && c.cgroup.none && alive)
		everybody = false;
	r = everybody ? signal_all(&c, sig, err) : c.level->signal(&c.sandbox, sig, false, err);
	if (r == -ESRCH && all)
		return 0;
	if (r == 0 && sig == SIGKILL)
		container_kill_frozen(&c);
	return r;
}

int runtime_save_machine(const struct runtime *rt, const char *id, int file, int *ret_hold, struct err *err)
{
	autocontainer struct container c;
	int r = container_load(rt, id, CONTAINER_CONFIG, &c, err);

	if (r == 0 && !c.level->save)
		r = err_set(err, ENOTSUP, "a container of isolation level \"%s\" has no machine to be saved",
			    c.level->name);
	if (r == 0)
		r = container_may(&c, LIFE_PAUSE, NULL, err);
	return r < 0 ? r : c.level->save(&c.sandbox, file, ret_hold, err);
}

int runtime_pause(const struct runtime *rt, const char *id, struct err *err)
{
	autocontainer struct container c;
	int r = container_load(rt, id, CONTAINER_CONFIG, &c, err);

	if (r == 0)
		r = lacks_feature(c.level, ISOLATE_PAUSE, err);
	if (r == 0)
		r = container_may(&c, LIFE_PAUSE, NULL, err);
	return r < 0 ? r : c.level->pause(&c.sandbox, err);
}

int runtime_resume(const struct runtime *rt, const char *id, struct err *err)
{
	autocontainer struct container c;
	int r = container_load(rt, id, CONTAINER_CONFIG, &c, err);

	if (r == 0)
		r = lacks_feature(c.level, ISOLATE_PAUSE, err);
	if (r == 0)
		r = container_may(&c, LIFE_RESUME, NULL, err);
	return r < 0 ? r : c.level->resume(&c.sandbox, err);
}
