/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer on its way in.
 *
 * Theory of operation.  The file in ingest/ is the buffer: the main thread
 * writes what comes from the network, in ranges and in any order, and moves
 * the *frontier*, up to which everything is there.  Two threads follow it, each
 * at its own pace, reading from the page cache: the feeder hashes the
 * compressed bytes and publishes the blob, the builder inflates and makes the
 * layer.  Nothing is ever held back in memory, an earlier try's bytes are
 * hashed like new ones, and a slow disk does not slow the network down.
 *
 * The feeder also takes the lock on the file: it may have to wait there for
 * another process, and two that wait for each other's layers would wait for
 * ever if they did it in the thread that serves all of them.
 *
 * The layer is published after the blob's digest has been found right, never
 * before; either may be there without the other when somebody is killed, and
 * the next pull makes the missing one from what is there.
 *
 * What is fetched: a layer whose diffID is in layers/ is complete, whether
 * its blob is kept or not, and nothing of it is asked for; a layer whose blob
 * is kept is built from that.
 */
#pragma once

#include "image/content.h"
#include "image/fetch/call.h"
#include "image/layer.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	JOB_SPLIT_MIN = 32 << 20, /* larger blobs are fetched in … */
	JOB_PIECE = 16 << 20,	  /* … ranges of this size, where the registry knows ranges */
	JOB_PIECES_AT_ONCE = 3,	  /* of one layer */
	JOB_READ = 512 << 10,
};

struct layer_job;

enum piece_state { PIECE_TODO, PIECE_RUNNING, PIECE_DONE };
struct piece {
	struct layer_job *job;
	uint64_t pos, end; /* what is still to come: [pos, end) */
	uint64_t skip;	   /* bytes of the answer that come before pos */
	enum piece_state state;
	bool whole;	/* asked for without a range: the registry does not take ranges */
	bool ranged;	/* this answer is a range */
	uint64_t began; /* where this try began */
	unsigned tries; /* that ended early without an error */
	struct call call;
};

struct layer_job {
	/* Set once. */
	struct image_store *store;
	struct session *session;
	const struct oci_descriptor *d; /* `own`, which lives as long as the job */
	struct oci_descriptor own;
	char digest[DIGEST_MAX];
	const struct layer_inflate *inflate;
	bool rootless;
	bool mirrored;	       /* bytes may come from a mirror */
	int item;	       /* of the progress */
	struct remote *remote; /* borrowed, like the two below */
	const char *repository, *scope;

	pthread_mutex_t lock;
	pthread_cond_t moved; /* anything below has changed */
	struct ingest in;
	bool opened, cancel, exists;
	bool abandoned;	  /* the feeder waits for another process still: all but the job itself may be gone */
	int fd;		  /* to read from */
	uint64_t resumed; /* bytes of an earlier try */
	uint64_t frontier;
	unsigned generation; /* goes up when all begins again */
	bool restart;	     /* the feeder asks for new bytes: the main thread answers */
	const char *diff_id; /* NULL until the configuration is there */
	bool verified, published, built;
	bool feeder_ended, builder_ended;
	struct err err; /* the first failure; code 0 = none */
	struct layer_result result;
	_Atomic uint64_t hashed, fed;

	/* The main thread's. */
	pthread_t feeder, builder;
	bool started, planned, done;
	struct piece *pieces;
	size_t npieces, first_open, running;
	uint64_t received;
	bool ranges_known, no_ranges;
	bool distrusted; /* a mirror gave other bytes: the registry itself is asked */
	char *direct;	 /* where a redirect has led: the other ranges go there at once */
};

/* ---- job.c: threads ---- */
void job_init(struct layer_job *j);
must_use int job_start(struct layer_job *j, struct err *err);
/* Tells the threads to end and waits for them, but for one that waits for another process's lock. */
void job_stop(struct layer_job *j);
void job_free(struct layer_job *j);
void job_set_diff_id(struct layer_job *j, const char *diff_id);
void job_fail(struct layer_job *j, const struct err *why);

/* ---- job_net.c: the network's side, main thread only ---- */
/* Makes the pieces once the feeder has opened the file, and again after a restart.  0 or -errno. */
must_use int job_plan(struct layer_job *j, struct err *err);
/* The feeder asked for all of it anew. */
must_use int job_replan(struct layer_job *j, struct err *err);
/* Starts one more transfer if there is one to start: 1; 0 = nothing to do now. */
must_use int job_transfer(struct layer_job *j, struct err *err);
void job_abort_transfers(struct layer_job *j);
