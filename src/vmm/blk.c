/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2, 5.2) on a file or a block device of the host's.
 *
 * Data goes by preadv and pwritev between the host's page cache and the
 * guest's memory: one copy, as from a mapping of the file, but a file that is
 * cut short meanwhile gives an error to the guest, not a SIGBUS to us.
 */
#include "vmm/device.h"

#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { SECTOR = 512, TRANSFER_MAX = 4 << 20 };

struct blk {
	struct device d;
	int fd;
	bool readonly;
	uint64_t size; /* bytes, whole sectors */
};

/* Reads or writes all of it; a request that goes beyond the disk's end is an error. */
static bool blk_transfer(const struct blk *b, const struct chain *c, uint64_t sector, bool write, size_t len)
{
	struct iovec iov[QUEUE_IOV_MAX];
	size_t skip = write ? sizeof(struct virtio_blk_outhdr) : 0, done = 0;
	uint64_t at, end;

	if (len % SECTOR || len > TRANSFER_MAX || __builtin_mul_overflow(sector, (uint64_t)SECTOR, &at) ||
	    __builtin_add_overflow(at, (uint64_t)len, &end) || end > b->size)
		return false;
	while (done < len) {
		int n = (int)chain_rest(c, !write, skip + done, len - done, iov);
		ssize_t r = write ? pwritev(b->fd, iov, n, (off_t)(at + done))
				  : preadv(b->fd, iov, n, (off_t)(at + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static uint8_t blk_serve(const struct blk *b, const struct chain *c, const struct virtio_blk_outhdr *h,
			 uint32_t *written)
{
	static const char id[VIRTIO_BLK_ID_BYTES] = "coffer";
	size_t in = c->write_len - 1, out = c->read_len - sizeof(*h);

	switch (h->type) {
	case VIRTIO_BLK_T_IN:
		if (!blk_transfer(b, c, h->sector, false, in))
			return VIRTIO_BLK_S_IOERR;
		*written += (uint32_t)in;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_OUT:
		return !b->readonly && blk_transfer(b, c, h->sector, true, out) ? VIRTIO_BLK_S_OK
										: VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_FLUSH:
		return b->readonly || fdatasync(b->fd) == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_GET_ID:
		*written += (uint32_t)chain_put(c, 0, id, MIN_OF(in, sizeof(id)));
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static int blk_kicked(struct device *d, unsigned queue)
{
	struct blk *b = container_of(d, struct blk, d);
	struct queue *q = &d->queues[queue];
	struct virtio_blk_outhdr h;
	struct chain c;
	int r;

	do {
		while ((r = queue_pop(q, &c)) > 0) {
			uint32_t written = 1;
			/* The last byte to write to is the status. */
			if (c.write_len < 1 || chain_get(&c, 0, &h, sizeof(h)) != sizeof(h))
				return -EBADMSG;
			uint8_t status = blk_serve(b, &c, &h, &written);
			(void)chain_put(&c, c.write_len - 1, &status, 1);
			queue_push(q, c.head, written);
		}
		if (r < 0)
			return r;
		device_signal(d, queue);
	} while (queue_enable_kicks(q));
	return 0;
}

static const struct device_kind kind = {
	.name = "disk", .id = VIRTIO_ID_BLOCK, .queues = 1, .kicked = blk_kicked};

int blk_new(int fd, bool readonly, const struct guest_memory *m, struct loop *l, struct device **ret,
	    struct err *err)
{
	struct virtio_blk_config config = {.size_max = TRANSFER_MAX, .seg_max = QUEUE_IOV_MAX - 2};
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at a disk's file");
	size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) ? ioctl(fd, BLKGETSIZE64, &size) < 0 : !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "a disk is neither a file nor a block device");
	struct blk *b = calloc(1, sizeof(*b));
	if (!b)
		return err_oom(err);
	*ret = &b->d;
	b->fd = fd;
	b->readonly = readonly;
	b->size = size / SECTOR * SECTOR;
	config.capacity = size / SECTOR;
	b->d.features = UINT64_C(1) << VIRTIO_BLK_F_FLUSH | UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |
			UINT64_C(1) << VIRTIO_BLK_F_SIZE_MAX | (uint64_t)readonly << VIRTIO_BLK_F_RO;
	b->d.config_len = MIN_OF(sizeof(config), sizeof(b->d.config));
	memcpy(b->d.config, &config, b->d.config_len);
	return device_init(&b->d, &kind, m, l, err);
}
