/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that is answered by a forked child.
 *
 * The child sends one message (struct job_result, rows, a descriptor) and
 * ends; the agent makes a REPLY of it.  It may block on the file share, be
 * killed, or change its namespaces: the agent goes on.  A child that ends
 * without a word is an error of the request.
 *
 * The message is sent before the child ends, and only the child's end makes
 * the processes that it leaves behind the agent's to reap: so who reaps an
 * unknown process looks for messages first (live.c).
 */
#pragma once

#include "agent/agent.h"

struct job_result {
	struct guest_reply reply;
	pid_t pid; /* of the process that was made; 0 = none */
	char text[ERR_MSG_MAX];
};

/* What a job is given; all of it lives in the agent, and is copied by fork. */
struct job_order {
	const struct guest_frame *frame;
	const char *json; /* RUN, EXEC, UPDATE */
	size_t json_len;
	struct guest_process process;
	struct guest_signal signal;
	struct guest_processes rows;
	struct stdio stdio;
	pid_t pid; /* SIGNAL: the one that stands for all */
};

/* What a body leaves for the answer. */
struct job_answer {
	pid_t pid;
	int master; /* owned; -1 = none */
	void *more; /* behind the REPLY; freed by the job's end */
	size_t nmore;
};
typedef int job_body(struct agent *a, const struct job_order *o, struct job_answer *ret, struct err *err);

/* Answers by itself where no child can be made.  `live` may be NULL; a job that fails forgets it. */
void job_start(struct agent *a, job_body *body, const struct job_order *o, struct live *live);
/* Takes the messages that are there.  True where one was taken. */
bool job_collect(struct agent *a);
/* Frees those that have ended. */
void job_sweep(struct agent *a);

job_body job_run, job_exec, job_outside, job_update, job_signal_all, job_rows, job_stats, job_freeze,
	job_pause, job_resume;
