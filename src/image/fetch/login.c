/* SPDX-License-Identifier: Apache-2.0 */
/* login and logout: credentials are tried before they are kept. */
#include "image/fetch/fetch.h"

#include "base/fd.h"
#include "image/fetch/auth.h"

#include <termios.h>

enum { LOGIN_WORD_MAX = 64 << 10 };

/* A line from the terminal or from standard input; the caller frees. */
static int ask_line(const char *prompt, bool hidden, char **ret, struct err *err)
{
	struct termios before, silent;
	size_t cap = 0;
	char *line = NULL;

	(void)printf("%s", prompt);
	(void)fflush(stdout);
	bool quiet = hidden && tcgetattr(STDIN_FILENO, &before) == 0;
	if (quiet) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	ssize_t n = getline(&line, &cap, stdin);
	if (quiet) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		(void)printf("\n");
	}
	if (n <= 0) {
		free(line);
		return err_set(err, EINVAL, "no answer: give -u and -p, or --password-stdin");
	}
	line[strcspn(line, "\r\n")] = '\0';
	*ret = line;
	return 0;
}

static int take_password(const struct login_options *o, char **ret, struct err *err)
{
	size_t len;

	if (o->password) {
		fputs("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n", stderr);
		*ret = strdup(o->password);
		return *ret ? 0 : err_oom(err);
	}
	if (!o->password_stdin)
		return ask_line("Password: ", true, ret, err);
	int r = fd_read_all(STDIN_FILENO, LOGIN_WORD_MAX, ret, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the password from standard input");
	while (len > 0 && ((*ret)[len - 1] == '\n' || (*ret)[len - 1] == '\r'))
		(*ret)[--len] = '\0';
	return len ? 0 : err_set(err, EINVAL, "the password on standard input is empty");
}

/* "https://index.docker.io/v1/", "registry.example/" -> the host as references have it; the caller frees. */
static char *server_host(const char *server)
{
	if (!server || !*server)
		return strdup("docker.io");
	if (strstr(server, "://"))
		server = strstr(server, "://") + 3;
	autofree char *host = strndup(server, strcspn(server, "/"));
	if (host && (streq(host, "index.docker.io") || streq(host, "registry-1.docker.io")))
		return strdup("docker.io");
	return take_ptr(&host);
}

static int try_login(struct fetch *f, const char *host, const struct credentials *c, struct err *err)
{
	struct session *s autosession = NULL;
	struct remote *r autoremote = NULL;

	int rc = session_new(f->settings, &s, err);
	if (rc == 0)
		rc = auth_use(session_auth(s), host, c, err);
	if (rc == 0)
		rc = remote_open(s, host, &r, err);
	if (rc < 0)
		return rc;
	struct call q autocall = {.remote = r,
				  .method = "GET",
				  .path = strdup(""),
				  .no_mirrors = true,
				  .text_max = 1 << 20,
				  .total_seconds = 60};
	if (!q.path)
		return err_oom(err);
	rc = call_wait(&q, err);
	if (rc < 0 && !q.finished)
		return rc;
	if (rc == 0 && (q.x.status == 401 || q.x.status == 403))
		return err_set(err, EACCES, "login to %s failed: the user name or the password is wrong",
			       host);
	if (rc < 0 || q.x.status != 200)
		return call_fail(&q, err, "login to %s failed", host);
	return 0;
}

int fetch_login(struct fetch *f, const struct login_options *o, struct err *err)
{
	struct credentials c autocredentials = {0};
	autofree char *host = server_host(o->server), *where = NULL;

	if (!host)
		return err_oom(err);
	if (o->password_stdin && (o->password || !o->user))
		return err_set(err, EINVAL,
			       o->password ? "--password and --password-stdin are mutually exclusive"
					   : "Must provide --username with --password-stdin");
	int r = o->user ? ((c.user = strdup(o->user)) ? 0 : err_oom(err))
			: ask_line("Username: ", false, &c.user, err);
	if (r == 0)
		r = take_password(o, &c.password, err);
	if (r < 0)
		return r;
	if (!*c.user || strchr(c.user, ':'))
		return err_set(err, EINVAL, "a user name must not be empty or have a \":\" in it");
	r = try_login(f, host, &c, err);
	if (r == 0)
		r = credentials_store(host, &c, &where, err);
	if (r < 0)
		return r;
	if (*where == '/')
		fprintf(stderr,
			"WARNING! Your password is stored unencrypted in %s.\n"
			"Configure a credential helper (credsStore) to remove this warning.\n",
			where);
	(void)printf("Login Succeeded\n");
	return 0;
}

int fetch_logout(struct fetch *f, const char *server, struct err *err)
{
	autofree char *host = server_host(server);

	(void)f;
	if (!host)
		return err_oom(err);
	int r = credentials_erase(host, err);
	if (r < 0)
		return r;
	const char *name = streq(host, "docker.io") ? AUTH_HUB_KEY : host;
	if (r > 0)
		(void)printf("Removing login credentials for %s\n", name);
	else
		(void)printf("Not logged in to %s\n", name);
	return 0;
}
