/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/proc.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static int64_t ms_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_stat(void)
{
	struct proc_stat st, again;

	CHECK_INT(proc_stat(getpid(), &st), 0);
	CHECK_INT(st.state, 'R');
	CHECK_INT(st.ppid, getppid());
	CHECK(st.start_time > 0);
	/* The command name may hold what looks like the end of it. */
	CHECK_INT(prctl(PR_SET_NAME, "a) R 1 (b) Z"), 0);
	CHECK_INT(proc_stat(getpid(), &again), 0);
	CHECK(again.state == 'R' && again.ppid == st.ppid && again.start_time == st.start_time);
	CHECK_INT(proc_stat(INT_MAX, &st), -ESRCH);
}

static void test_alive(void)
{
	struct proc_stat st;
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	CHECK_INT(proc_stat(pid, &st), 0);
	CHECK(proc_alive(pid, st.start_time));
	CHECK(!proc_alive(pid, st.start_time + 1)); /* another one of the same pid */
	CHECK(!proc_alive(0, 0) && !proc_alive(-1, 0));
	CHECK(pid > 0 && kill(pid, SIGKILL) == 0); /* kill(-1) is everybody */
	siginfo_t info;
	CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	CHECK(!proc_alive(pid, st.start_time)); /* a zombie */
	int status = proc_wait(pid);
	CHECK(status >= 0 && WIFSIGNALED(status));
	CHECK_INT(proc_exit_code(status), 128 + SIGKILL);
	CHECK(!proc_alive(pid, st.start_time));
	CHECK_INT(proc_wait(pid), -ECHILD);
}

static int run_sh(const char *script, const char *input, int timeout_ms, size_t max, char **out)
{
	struct err err = {0};
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct proc_run run = {.argv = argv,
			       .input = input,
			       .input_len = input ? strlen(input) : 0,
			       .timeout_ms = timeout_ms,
			       .output_max = max};
	int r = proc_run(&run, out, &err);

	if (r < 0)
		CHECK(strstr(err.msg, "/bin/sh"));
	return r;
}

static void check_run(const char *script, const char *input, int code, const char *want)
{
	char *out = NULL;
	int status = run_sh(script, input, 10000, 4096, &out);

	CHECK(status >= 0);
	CHECK_INT(proc_exit_code(status), code);
	CHECK_STR(out, want);
	free(out);
}

static void test_run(void)
{
	check_run("echo hello; echo error >&2", NULL, 0, "hello\nerror\n");
	check_run("cat", "some input", 0, "some input");
	check_run("cat", NULL, 0, "");
	check_run("exit 7", NULL, 7, "");
	check_run("kill -TERM $$", NULL, 128 + SIGTERM, "");
	check_run("ls /proc/self/fd | wc -l", NULL, 0, "4\n"); /* 0, 1, 2 and ls's own */
	CHECK_INT(run_sh("exit 3", NULL, 0, 0, NULL), 3 << 8);
}

static void test_run_streams(void)
{
	static char big[300000];
	char *out = NULL;

	/* Input that nobody reads must not hang or kill us. */
	memset(big, 'x', sizeof(big) - 1);
	check_run("exec <&-; echo done", big, 0, "done\n");
	/* More than a pipe holds, both ways at once. */
	CHECK_INT(run_sh("cat", big, 20000, sizeof(big), &out), 0);
	CHECK_INT(out ? strlen(out) : 0, sizeof(big) - 1);
	free(out);
	out = NULL;
	/* What is above the limit is read and dropped. */
	CHECK_INT(run_sh("i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; "
			 "i=$((i+1)); done; exit 5",
			 NULL, 20000, 10, &out),
		  5 << 8);
	CHECK_STR(out, "0123456789");
	free(out);
}

static void test_run_time(void)
{
	int64_t start = ms_now();
	char *out = NULL;

	CHECK_INT(run_sh("sleep 30", NULL, 100, 10, &out), -ETIMEDOUT);
	CHECK(!out);
	CHECK(ms_now() - start < 10000);
	/* A grandchild that keeps the output open does not keep us. */
	start = ms_now();
	CHECK_INT(run_sh("sleep 3 & echo said", NULL, 20000, 100, &out), 0);
	CHECK_STR(out, "said\n");
	CHECK(ms_now() - start < 2500);
	free(out);
	out = NULL;
	/* The program may close its output long before its end. */
	CHECK_INT(run_sh("exec >&- 2>&-; sleep 0.2; exit 4", NULL, 20000, 100, &out), 4 << 8);
	CHECK_STR(out, "");
	free(out);
}

static void test_run_fails(void)
{
	struct err err = {0};
	const char *const argv[] = {"/nonexistent/program", NULL};
	struct proc_run run = {.argv = argv, .output_max = 200};
	char *out = NULL;
	int status = proc_run(&run, &out, &err);

	CHECK(status >= 0);
	CHECK_INT(proc_exit_code(status), 127);
	CHECK(out && strstr(out, "no such file or directory"));
	free(out);
}

static void test_run_environment(void)
{
	struct err err = {0};
	const char *const argv[] = {"/usr/bin/env", NULL}, *const envp[] = {"A=b", NULL};
	struct proc_run run = {.argv = argv, .envp = envp, .output_max = 200};
	char *out = NULL;

	CHECK_INT(proc_run(&run, &out, &err), 0);
	CHECK_STR(out, "A=b\n");
	free(out);
	out = NULL;
	const char *const pwd[] = {"/bin/pwd", NULL};
	run = (struct proc_run){.argv = pwd, .cwd = "/usr", .output_max = 200};
	CHECK_INT(proc_run(&run, &out, &err), 0);
	CHECK_STR(out, "/usr\n");
	free(out);
	out = NULL;
	const char *const named[] = {"another-name", "-c", "echo $0", NULL};
	run = (struct proc_run){.path = "/bin/sh", .argv = named, .output_max = 200};
	CHECK_INT(proc_run(&run, &out, &err), 0);
	CHECK_STR(out, "another-name\n");
	free(out);
}

int main(void)
{
	test_stat();
	test_alive();
	test_run();
	test_run_streams();
	test_run_time();
	test_run_fails();
	test_run_environment();
	return test_end();
}
