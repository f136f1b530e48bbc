/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes to what is executed (fs/busy.h). */
#include "sentry/fs/busy.h"

#include "base/base.h"

enum { BUSY_BUCKETS = 256 };

struct busy {
	struct busy *next;
	struct file_id id;
	unsigned writers, programs;
};

static struct busy *busy_files[BUSY_BUCKETS];

static struct busy **busy_bucket(const struct file_id *id)
{
	return &busy_files[(id->ino ^ id->dev) % BUSY_BUCKETS];
}

static struct busy *find_busy(const struct file_id *id)
{
	struct busy *b = *busy_bucket(id);

	while (b && !file_id_is(&b->id, id))
		b = b->next;
	return b;
}

static struct busy *get_busy(const struct file_id *id)
{
	struct busy *b = find_busy(id);

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->id = *id;
	b->next = *busy_bucket(id);
	*busy_bucket(id) = b;
	return b;
}

static void drop_busy(struct busy *b)
{
	struct busy **at = busy_bucket(&b->id);

	if (b->writers || b->programs)
		return;
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	free(b);
}

int busy_write(const struct file_id *id, struct busy **ret)
{
	struct busy *b = get_busy(id);

	if (!b)
		return -ENOMEM;
	if (b->programs)
		return -ETXTBSY;
	b->writers++;
	*ret = b;
	return 0;
}

void busy_write_end(struct busy *b)
{
	if (!b)
		return;
	b->writers--;
	drop_busy(b);
}

int busy_execute(const struct file_id *id, struct busy **ret)
{
	struct busy *b = get_busy(id);

	if (!b)
		return -ENOMEM;
	if (b->writers)
		return -ETXTBSY;
	b->programs++;
	*ret = b;
	return 0;
}

struct busy *busy_execute_ref(struct busy *b)
{
	if (b)
		b->programs++;
	return b;
}

void busy_execute_end(struct busy *b)
{
	if (!b)
		return;
	b->programs--;
	drop_busy(b);
}

bool busy_is_executed(const struct file_id *id)
{
	const struct busy *b = find_busy(id);

	return b && b->programs;
}

bool busy_is_written(const struct file_id *id)
{
	const struct busy *b = find_busy(id);

	return b && b->writers;
}
