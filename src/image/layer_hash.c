/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A ring of pieces: the caller puts them in at `put`, the
 * thread takes them out at `done`.  A buffer belongs to a place of the ring
 * and is free again when its piece is done.  Counters only grow; both sides
 * sleep on one condition.
 */
#include "image/layer_hash.h"
#include "image/sha256.h"

#include <pthread.h>
#include <signal.h>

enum { PIECES = 8, BUFFER = 256 << 10 };

struct piece {
	const uint8_t *bytes;
	size_t len;
};
struct layer_hash {
	struct sha256 sum;
	bool threads;
	uint8_t *buffers[PIECES];
	struct piece pieces[PIECES];
	uint64_t put, done;
	bool stop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

static void *hash_thread(void *data)
{
	struct layer_hash *h = data;

	(void)pthread_mutex_lock(&h->lock); /* our own: it cannot fail */
	for (;;) {
		while (h->done == h->put && !h->stop)
			(void)pthread_cond_wait(&h->moved, &h->lock);
		if (h->done == h->put)
			break;
		struct piece p = h->pieces[h->done % PIECES];
		(void)pthread_mutex_unlock(&h->lock);
		sha256_update(&h->sum, p.bytes, p.len);
		(void)pthread_mutex_lock(&h->lock);
		h->done++;
		(void)pthread_cond_signal(&h->moved);
	}
	(void)pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int start_thread(struct layer_hash *h, struct err *err)
{
	sigset_t all, old;

	/* Signals are the program's business, not this thread's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&h->thread, NULL, hash_thread, h);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0 ? 0 : err_num(err, r, "cannot start a thread to hash with");
}

int layer_hash_new(bool threads, struct layer_hash **ret, struct err *err)
{
	struct layer_hash *h = calloc(1, sizeof(*h));
	int r = h ? 0 : err_oom(err);

	if (r < 0)
		return r;
	sha256_init(&h->sum);
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->moved, NULL);
	for (int i = 0; i < (threads ? PIECES : 1) && r == 0; i++) {
		h->buffers[i] = malloc(BUFFER);
		if (!h->buffers[i])
			r = err_oom(err);
	}
	if (r == 0 && threads)
		r = start_thread(h, err);
	h->threads = threads && r == 0;
	if (r < 0)
		layer_hash_free(h);
	else
		*ret = h;
	return r;
}

void layer_hash_free(struct layer_hash *h)
{
	if (!h)
		return;
	if (h->threads) {
		(void)pthread_mutex_lock(&h->lock);
		h->stop = true;
		(void)pthread_cond_signal(&h->moved);
		(void)pthread_mutex_unlock(&h->lock);
		(void)pthread_join(h->thread, NULL);
	}
	for (int i = 0; i < PIECES; i++)
		free(h->buffers[i]);
	(void)pthread_cond_destroy(&h->moved);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Until fewer than `n` pieces wait. */
static void wait_below(struct layer_hash *h, uint64_t n)
{
	(void)pthread_mutex_lock(&h->lock);
	while (h->put - h->done >= n)
		(void)pthread_cond_wait(&h->moved, &h->lock);
	(void)pthread_mutex_unlock(&h->lock);
}

uint8_t *layer_hash_buffer(struct layer_hash *h, size_t *ret_size)
{
	*ret_size = BUFFER;
	if (!h->threads)
		return h->buffers[0];
	wait_below(h, PIECES);
	return h->buffers[h->put % PIECES];
}

void layer_hash_put(struct layer_hash *h, const uint8_t *bytes, size_t len)
{
	if (!h->threads) {
		sha256_update(&h->sum, bytes, len);
		return;
	}
	wait_below(h, PIECES);
	(void)pthread_mutex_lock(&h->lock);
	h->pieces[h->put % PIECES] = (struct piece){bytes, len};
	h->put++;
	(void)pthread_cond_signal(&h->moved);
	(void)pthread_mutex_unlock(&h->lock);
}

void layer_hash_wait(struct layer_hash *h)
{
	if (h->threads)
		wait_below(h, 1);
}

void layer_hash_digest(struct layer_hash *h, char ret[static 72])
{
	layer_hash_wait(h);
	sha256_digest(&h->sum, ret);
}
