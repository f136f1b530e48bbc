/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as the rest of the house sees them: names, content, root file systems.
 *
 * Theory of operation.  A store is a directory:
 *
 *   blobs/sha256/HEX   manifests, configurations, layers as they came
 *   layers/HEX/        by diffID: layer.erofs, or diff/ where layers are directories
 *   ingest/            what is on its way in, each file locked by who writes it
 *   coffer.db          names and edges (base/db.h)
 *   gc.lock            shared: content is being used before it has a name; exclusive: the sweep
 *
 * Content comes in under ingest/, is checked against its digest, and appears
 * under its final name by one rename; only then do rows of the database speak
 * of it.  Whoever dies on the way leaves a file in ingest/ that nobody locks,
 * which the sweep takes.  Moving content (coffer-fetch) is another program's
 * work; this header serves reading, naming and mounting.
 */
#pragma once

#include "base/db.h"
#include "base/err.h"
#include "base/json.h"
#include "oci/config.h"
#include "oci/image_config.h"

struct held_mounts;

enum image_layers {
	IMAGE_LAYERS_AUTO, /* EROFS where the kernel mounts it and we may, else directories */
	IMAGE_LAYERS_EROFS,
	IMAGE_LAYERS_DIRECTORY, /* storage.layers = "directory" */
};

/* What a name without a registry means: the [registries] of the configuration file. */
struct reference_rules {
	const char *default_domain; /* NULL = "docker.io" */
	pair_list aliases;	    /* "nginx" -> "quay.io/nginx/nginx" */
};

struct image_store_options {
	const char *root; /* "/var/lib/coffer"; made where it is missing */
	enum image_layers layers;
	bool sync;			     /* DB_SYNC: for who writes images */
	const struct reference_rules *rules; /* NULL = Docker's; borrowed for as long as the store is open */
};
struct image_store;
must_use int image_store_open(const struct image_store_options *o, struct image_store **ret, struct err *err);
void image_store_close(struct image_store *s);
static inline void cleanup_image_store(struct image_store **s)
{
	image_store_close(*s);
}
#define autostore __attribute__((cleanup(cleanup_image_store)))
/* The same database for other rooms' tables; borrowed. */
struct db *image_store_db(struct image_store *s);
int image_store_dirfd(const struct image_store *s); /* borrowed */
const char *image_store_root(const struct image_store *s);
enum image_layers image_store_layers(const struct image_store *s); /* as the options had it */
const struct reference_rules *image_store_rules(const struct image_store *s);

/* ---- looking ---- */

struct image {
	char *id;	       /* "sha256:HEX": the digest of the configuration, as Docker's image ID */
	char *manifest_digest; /* of the manifest that was chosen */
	char *reference; /* the name by which it was found, in full ("docker.io/library/nginx:1.25"); NULL: by
			    id */
	str_list tags;	 /* full names without digests; owned */
	str_list digests;  /* "docker.io/library/nginx@sha256:…"; owned */
	char *config_text; /* the configuration as it came */
	size_t config_len;
	struct oci_image_config config; /* decoded from it (oci/image_config.h) */
	struct json_doc config_doc;	/* what owns the decoded strings */
	str_list diff_ids;		/* lowest first; borrowed from config */
	str_list layer_digests;		/* of the blobs, lowest first; owned; "" where the blob is not kept */
	uint64_t size;			/* bytes of all layers, uncompressed */
	char *platform;			/* "linux/amd64", "linux/arm64/v8" */
	struct timespec created;	/* as the configuration says; 0 where it says nothing */
	struct timespec pulled;		/* when it came into the store */
};
/*
 * By name ("nginx", "localhost:5000/x:1", "nginx@sha256:…"), by id or by an
 * unambiguous prefix of an id (12 digits as `images` prints them, or fewer).
 * `platform` NULL = the one that serves this machine best, and where a name
 * has none of those, what it has (image_platform_score() tells); else the
 * best for it or -ENOENT: "No such image: nginx:latest".
 */
must_use int image_find(struct image_store *s, const char *name, const char *platform, struct image *ret,
			struct err *err);
void image_free(struct image *i);
#define autoimage __attribute__((cleanup(image_free)))
typedef LIST_OF(struct image) image_list;
/* All, the last created first.  -> image_list_free() */
must_use int image_list_all(struct image_store *s, image_list *ret, struct err *err);
void image_list_free(image_list *l);

/* Bytes of a layer, uncompressed; 0 where it cannot be told. */
uint64_t image_layer_size(struct image_store *s, const char *diff_id);

/* What made an image, as `history` prints it: the last step first.  Strings are the image's. */
struct image_history {
	const char *id;	     /* of the image for the first row; NULL: "<missing>" */
	const char *created; /* RFC 3339; NULL where it is not known */
	const char *created_by, *comment;
	uint64_t size; /* bytes of the layer, uncompressed */
};
typedef LIST_OF(struct image_history) image_history_list;
/* The caller frees ret->v. */
must_use int image_history(struct image_store *s, const struct image *i, image_history_list *ret,
			   struct err *err);

/* ---- naming ---- */

must_use int image_tag(struct image_store *s, const char *source, const char *target, struct err *err);
/*
 * `rmi`: takes the name away, or by id all names (-EBUSY with several of them
 * unless `force`), and the image with its last one.  What was done comes
 * through `told`: "Untagged: …", "Deleted: sha256:…" as Docker prints them.
 * Content goes with image_gc().  `in_use` (may be NULL) tells whether a
 * container uses an image id: 1 stopped, 2 running, 0.
 */
struct image_remove {
	const char *name;
	bool force;
	int (*in_use)(void *data, const char *image_id, char ret_container[static 65]);
	void (*told)(void *data, const char *line);
	void *data;
};
must_use int image_remove(struct image_store *s, const struct image_remove *q, struct err *err);
struct image_gc_result {
	uint64_t bytes, blobs, layers;
};
/*
 * Removes content that no image needs.  `uses_layer` (may be NULL) tells of diffIDs that
 * containers still stand on; it is asked while the store is locked, and must look at the
 * containers then: a list from before knows nothing of one that was made meanwhile.
 * Waits for pulls that are under way.
 */
must_use int image_gc(struct image_store *s, bool (*uses_layer)(void *data, const char *diff_id), void *data,
		      struct image_gc_result *ret, struct err *err);
/* The same after `rmi`, which must not wait for a pull: -EAGAIN then, and the next sweep takes it. */
must_use int image_gc_try(struct image_store *s, bool (*uses_layer)(void *data, const char *diff_id),
			  void *data, struct image_gc_result *ret, struct err *err);

/* ---- root file systems ---- */

/* What a container's root is made of.  `dir` is its own directory; upper/ and work/ are made in it. */
struct snapshot {
	const char *dir;
	const str_list *diff_ids;      /* lowest first */
	const idmap_list *uids, *gids; /* ids of the container's user namespace; NULL or empty: none */
	bool read_only;		       /* no upper directory at all */
	bool is_volatile;	       /* --rm: what is written need not reach the disk */
	bool rootless;
	/* Paths ("etc/hosts") that are made for mounts; empty there is no change.  NULL-terminated; NULL:
	 * none. */
	const char *const *scaffold;
	/* A directory that stands below all layers and has (some of) these; of root's, shared by many; NULL:
	 * none.  What cannot be shifted into the container's ids is left out. */
	const char *places;
	/* What the root stands on is kept here, for the container's monitor to offer; NULL: it is not. */
	struct held_mounts *held;
};
/* Makes upper/ and work/ with the owner that the id maps ask for; idempotent. */
must_use int snapshot_prepare(struct image_store *s, const struct snapshot *q, struct err *err);
/*
 * The root as a detached mount: a descriptor (O_PATH), owned by the caller.
 * Nothing is left anywhere when it is closed.  May be called any number of
 * times one after the other, once at a time.
 */
must_use int snapshot_mount(struct image_store *s, const struct snapshot *q, struct err *err);
/* Bytes and inodes of the upper directory: `ps --size`, `system df`. */
must_use int snapshot_usage(const struct snapshot *q, uint64_t *ret_bytes, uint64_t *ret_inodes,
			    struct err *err);
/* Removes upper/ and work/.  Missing is fine. */
must_use int snapshot_remove(const struct snapshot *q, struct err *err);
struct snapshot_change {
	char kind; /* 'A', 'C', 'D' as `diff` prints them */
	const char *path;
};
/* What the container changed against its image, sorted by path. */
must_use int snapshot_diff(struct image_store *s, const struct snapshot *q,
			   int (*each)(void *data, const struct snapshot_change *c, struct err *err),
			   void *data, struct err *err);

/* ---- moving content without a registry ---- */

/* Progress of long work, for people; `total` 0 = unknown.  May be NULL everywhere. */
struct image_progress {
	void (*report)(void *data, const char *id, const char *action, uint64_t done, uint64_t total);
	void *data;
};

/*
 * A new image from a container's changes (`commit`), or from a tar stream of
 * a whole root file system (`import`), or (neither) with another
 * configuration alone.  `config` is what is stored but for `created`, rootfs
 * and history, which are made here; `base` NULL = none.  The layer's blob is
 * kept as a plain tar (import: as it came): a push compresses it once, see
 * image_compress() in image/content.h.
 */
struct image_make {
	struct image_store *store;
	const struct image *base;
	const struct snapshot *changes; /* of a container on `base`; else NULL */
	int tar_fd;			/* else a (compressed or plain) tar to read; -1 = none */
	struct oci_image_config config; /* what `run` defaults to */
	const char *name;		/* NULL = no name */
	const char *author, *comment, *created_by;
};
/* *ret_id is owned by the caller. */
must_use int image_make(const struct image_make *q, char **ret_id, struct err *err);

/* `export`: the tree at `root_fd` as a tar stream. */
must_use int image_export(int root_fd, int out_fd, const idmap_list *uids, const idmap_list *gids,
			  struct err *err);
/* `save`: docker-archive with an OCI layout in the same tar, as Docker 25 writes it. */
must_use int image_save(struct image_store *s, const char *const *names, size_t n, int out_fd,
			struct err *err);
/* `load`: either format, compressed or not, or a directory with an OCI layout.  `told` gets "Loaded image:
 * …". */
must_use int image_load(struct image_store *s, int in_fd, void (*told)(void *data, const char *line),
			void *data, const struct image_progress *p, struct err *err);

/* ---- health ---- */

/*
 * `system check`: every blob against its digest where `deep`; each finding is
 * a line.  `repair` mends what it finds: layers are unpacked again from their
 * blobs, images that cannot be mended lose their names.  What a killed process
 * left is no finding; the next one goes on from it or sweeps it.
 */
must_use int image_check(struct image_store *s, bool deep, bool repair,
			 void (*finding)(void *data, const char *line), void *data, uint64_t *ret_findings,
			 struct err *err);
