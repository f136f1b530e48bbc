/* SPDX-License-Identifier: Apache-2.0 */
/* execve: from threads, from vfork, of scripts, of what is no program. */
#define _GNU_SOURCE
#include "fact.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[4096];

static int status_of(pid_t pid)
{
	int status = -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void put(const char *path, const void *data, size_t n, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
	write(fd, data, n);
	fchmod(fd, mode);
	close(fd);
}

static char *const no_env[] = {NULL};

static long try(const char *path, char *const argv[], char *const envp[])
{
	return RESULT(execve(path, argv, envp));
}

static void failures(void)
{
	char *const argv[] = {"x", NULL};
	char *bad[] = {"x", (char *)8, NULL};
	FACT("exec of nothing", try("/does/not/exist", argv, no_env), -ENOENT);
	FACT("exec of the empty path", try("", argv, no_env), -ENOENT);
	FACT("exec of a directory", try("/", argv, no_env), -EACCES);
	FACT("exec of a bad path", try((char *)8, argv, no_env), -EFAULT);
	FACT("exec with a bad argument", try(self, bad, no_env), -EFAULT);
	put("plain", "hello", 5, 0644);
	FACT("exec without permission", try("./plain", argv, no_env), -EACCES);
	put("text", "hello", 5, 0755);
	FACT("exec of a text", try("./text", argv, no_env), -ENOEXEC);
	put("empty", "", 0, 0755);
	FACT("exec of an empty file", try("./empty", argv, no_env), -ENOEXEC);
	FACT("exec through a file", try("./plain/x", argv, no_env), -ENOTDIR);
	put("lost", "#!/does/not/exist\n", 18, 0755);
	FACT("exec of a script without interpreter", try("./lost", argv, no_env), -ENOENT);
	put("self.sh", "#!./self.sh\n", 12, 0755);
	FACT("exec of a script that is its own interpreter", try("./self.sh", argv, no_env), -ELOOP);
	static char *many[70000];
	static char word[200];
	memset(word, 'a', sizeof(word) - 1);
	for (int i = 0; i < 69999; i++)
		many[i] = word;
	FACT("exec with too many arguments", try(self, many, no_env), -E2BIG);
	Elf64_Ehdr h = {
		.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1}, .e_type = ET_EXEC, .e_machine = EM_AARCH64};
	put("arm", &h, sizeof(h), 0755);
	FACT("exec of another machine's program", try("./arm", argv, no_env), -ENOEXEC);
	put("cut", &h, 20, 0755);
	FACT("exec of half a header", try("./cut", argv, no_env), -ENOEXEC);
}

static pid_t run(char *const argv[], char *const envp[])
{
	pid_t pid = fork();
	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(99);
	}
	return pid;
}

static void arguments(void)
{
	char *const argv[] = {self, "check", "a", "", "c d", NULL}, *const envp[] = {"X=1", "Y=", NULL};
	FACT("arguments and environment arrive", status_of(run(argv, envp)), 42);
	FILE *f = fopen("script", "w");
	fprintf(f, "#! %s script-arg\n", self);
	fclose(f);
	chmod("script", 0755);
	char *const script[] = {"./script", "one", NULL};
	FACT("a script is run by its interpreter", status_of(run(script, no_env)), 43);
	char *const none[] = {NULL};
	pid_t pid = fork();
	if (pid == 0) {
		execve(self, none, no_env);
		_exit(99);
	}
	FACT("without arguments there is an empty one", status_of(pid), 44);
	pid = fork();
	if (pid == 0) {
		int fd = open(self, O_RDONLY | O_CLOEXEC);
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(99);
	}
	FACT("execveat of a descriptor", status_of(pid), 42);
}

static void descriptors(void)
{
	int keep = open("/", O_RDONLY), lose = open("/", O_RDONLY | O_CLOEXEC);
	char a[16], b[16];
	snprintf(a, sizeof(a), "%d", keep);
	snprintf(b, sizeof(b), "%d", lose);
	char *const argv[] = {self, "fds", a, b, NULL};
	FACT("close-on-exec", status_of(run(argv, no_env)), 45);
}

/* ---- threads ---- */

static int pipe_fds[2];

static void *wait_in_read(void *data)
{
	char c;
	read(pipe_fds[0], &c, 1);
	return data;
}

static void *wait_in_futex(void *data)
{
	static int word;
	syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0);
	return data;
}

static void *spin(void *data)
{
	for (volatile int *x = data;;)
		++*x;
	return NULL;
}

static void *exec_it(void *data)
{
	char *const *argv = data;
	usleep(50000);
	execve(argv[0], argv, no_env);
	_exit(98);
}

static void from_thread(void)
{
	static int counter;
	static char pid_text[16];
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t t;
		snprintf(pid_text, sizeof(pid_text), "%d", getpid());
		static char *argv[] = {self, "pid", pid_text, NULL};
		pipe(pipe_fds);
		pthread_create(&t, NULL, wait_in_read, NULL);
		pthread_create(&t, NULL, wait_in_futex, NULL);
		pthread_create(&t, NULL, spin, &counter);
		pthread_create(&t, NULL, exec_it, argv);
		pause();
		_exit(97);
	}
	FACT("exec from a thread keeps the pid and ends the others", status_of(pid), 46);
	pid = fork();
	if (pid == 0) {
		pthread_t t;
		static char *argv[] = {self, "pid", pid_text, NULL};
		snprintf(pid_text, sizeof(pid_text), "%d", getpid());
		pthread_create(&t, NULL, exec_it, argv);
		pthread_exit(NULL);
	}
	FACT("exec from a thread whose leader has ended", status_of(pid), 46);
}

static void from_vfork(void)
{
	static volatile int shared;
	char *const argv[] = {self, "sleep", NULL};
	shared = 1;
	pid_t pid = vfork();
	if (pid == 0) {
		shared = 2;
		execve(argv[0], argv, no_env);
		_exit(99);
	}
	TRUE("a vfork's child shares memory", shared == 2);
	int status;
	FACT("and the parent goes on once it has executed", waitpid(pid, &status, WNOHANG), 0);
	FACT("then ends", status_of(pid), 47);
	pid = vfork();
	if (pid == 0) {
		usleep(50000);
		shared = 3;
		_exit(5);
	}
	TRUE("vfork waits for an exit", shared == 3);
	FACT("of a child that ends", status_of(pid), 5);
	pid = vfork();
	if (pid == 0) {
		execve("/does/not/exist", argv, no_env);
		shared = 4;
		_exit(6);
	}
	TRUE("a failed exec leaves the child in our memory", shared == 4);
	FACT("which ends", status_of(pid), 6);
}

static void handlers(void)
{
	char *const argv[] = {self, "signals", NULL};
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		signal(SIGUSR1, SIG_IGN);
		signal(SIGTERM, (void (*)(int))exit);
		execve(self, argv, no_env);
		_exit(99);
	}
	FACT("signals over exec: ignored and blocked stay, handlers go", status_of(pid), 48);
}

/* ---- the other side ---- */

static int other_side(int argc, char **argv, char **envp)
{
	if (argc == 1 && !argv[0][0])
		return 44;
	if (argc == 4 && strcmp(argv[1], "script-arg") == 0 && strcmp(argv[2], "./script") == 0 &&
	    strcmp(argv[3], "one") == 0)
		return 43;
	if (argc < 2)
		return 0;
	if (strcmp(argv[1], "check") == 0) {
		int good = argc == 5 && strcmp(argv[2], "a") == 0 && !argv[3][0] &&
			   strcmp(argv[4], "c d") == 0 && strcmp(envp[0], "X=1") == 0 &&
			   strcmp(envp[1], "Y=") == 0 && !envp[2] && getauxval(AT_RANDOM) &&
			   getauxval(AT_PAGESZ) == 4096 && getauxval(AT_SYSINFO_EHDR) &&
			   !getauxval(AT_SECURE) && getauxval(AT_UID) == getuid() && getauxval(AT_PHNUM) > 2;
		return good ? 42 : 1;
	}
	if (strcmp(argv[1], "fds") == 0)
		return fcntl(atoi(argv[2]), F_GETFD) == 0 && fcntl(atoi(argv[3]), F_GETFD) < 0 &&
				       errno == EBADF
			       ? 45
			       : 1;
	if (strcmp(argv[1], "pid") == 0)
		return getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid() ? 46 : 1;
	if (strcmp(argv[1], "sleep") == 0) {
		usleep(100000);
		return 47;
	}
	if (strcmp(argv[1], "signals") == 0) {
		sigset_t set;
		struct sigaction act;
		sigprocmask(SIG_BLOCK, NULL, &set);
		int good = sigismember(&set, SIGUSR2) == 1;
		sigaction(SIGUSR1, NULL, &act);
		good = good && act.sa_handler == SIG_IGN;
		sigaction(SIGTERM, NULL, &act);
		return good && act.sa_handler == SIG_DFL ? 48 : 1;
	}
	return 0;
}

int main(int argc, char **argv, char **envp)
{
	int r = other_side(argc, argv, envp);
	if (r)
		return r;
	char dir[] = "/tmp/programs-XXXXXX";
	realpath(argv[0], self);
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	failures();
	arguments();
	descriptors();
	from_thread();
	from_vfork();
	handlers();
	char name[16] = {0};
	prctl(PR_GET_NAME, name);
	TRUE("the thread has the program's name", strncmp(name, strrchr(self, '/') + 1, 15) == 0);
	return facts_end();
}
