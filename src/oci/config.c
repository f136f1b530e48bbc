/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

#include "base/file.h"
#include "base/sys.h"
#include "oci/config_tables.h"

static int document_decode(const char *text, size_t len, const char *where, const struct json_table *table,
			   void *object, struct oci_document **ret, struct err *err)
{
	struct oci_document *doc;

	if (len > OCI_CONFIG_MAX)
		return err_set(err, EFBIG, "%s: larger than %d bytes", where, OCI_CONFIG_MAX);
	doc = calloc(1, sizeof(*doc));
	if (!doc)
		return err_oom(err);
	memset(object, 0, table->size);
	int r = json_decode(&doc->json, text, len, where, table, object, err);
	if (r < 0) {
		oci_document_free(doc);
		return r;
	}
	*ret = doc;
	return 0;
}

int oci_config_parse(const char *text, size_t len, const char *where, struct oci_config *ret, struct err *err)
{
	struct oci_config c;
	int r = document_decode(text, len, where, &oci_config_table, &c, &c.document, err);

	if (r < 0)
		return r;
	struct oci_check ck = {.where = where, .doc = &c.document->json, .err = err};
	r = oci_check_config(&ck, &c);
	if (r < 0)
		oci_config_free(&c);
	else
		*ret = c;
	return r;
}

int oci_config_load(int bundle_dirfd, const char *bundle, struct oci_config *ret, char **ret_text,
		    size_t *ret_len, struct err *err)
{
	char where[PATH_MAX + sizeof("/config.json")];
	autofree char *text = NULL;
	size_t len;

	(void)snprintf(where, sizeof(where), "%s/config.json", bundle); /* cutting is fine: for messages */
	int r = file_read_at(bundle_dirfd, "config.json", OCI_CONFIG_MAX, &text, &len);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "JSON specification file %s not found", where);
	if (r == -EFBIG)
		return err_set(err, EFBIG, "%s: larger than %d bytes", where, OCI_CONFIG_MAX);
	if (r < 0)
		return err_num(err, r, "cannot read %s", where);
	r = oci_config_parse(text, len, where, ret, err);
	if (r == 0 && ret_text) {
		*ret_text = take_ptr(&text);
		*ret_len = len;
	}
	return r;
}

void oci_config_free(struct oci_config *c)
{
	oci_document_free(c->document);
	*c = (struct oci_config){0};
}

int oci_process_parse(const char *text, size_t len, const char *where, struct oci_process *ret,
		      struct oci_document **ret_doc, struct err *err)
{
	struct oci_document *doc;
	struct oci_process p;
	int r = document_decode(text, len, where, &oci_process_table, &p, &doc, err);

	if (r < 0)
		return r;
	struct oci_check ck = {.where = where, .doc = &doc->json, .err = err};
	r = oci_check_process(&ck, "", &p);
	if (r < 0) {
		oci_document_free(doc);
		return r;
	}
	*ret = p;
	*ret_doc = doc;
	return 0;
}

int oci_resources_parse(const char *text, size_t len, const char *where, struct oci_resources *ret,
			struct oci_document **ret_doc, struct err *err)
{
	struct oci_document *doc;
	struct oci_resources res;
	int r = document_decode(text, len, where, &oci_resources_table, &res, &doc, err);

	if (r < 0)
		return r;
	struct oci_check ck = {.where = where, .doc = &doc->json, .err = err};
	r = oci_check_resources(&ck, "", &res);
	if (r < 0) {
		oci_document_free(doc);
		return r;
	}
	*ret = res;
	*ret_doc = doc;
	return 0;
}

void oci_document_free(struct oci_document *doc)
{
	if (!doc)
		return;
	json_doc_free(&doc->json);
	free(doc);
}

const char *pair_find(const pair_list *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->v[i].key, key))
			return l->v[i].value;
	return NULL;
}

/* Of one key the first in the list comes first. */
static int compare_pairs(const void *a, const void *b)
{
	const struct oci_pair *const *x = a, *const *y = b;
	int r = strcmp((*x)->key, (*y)->key);

	return r ? r : (*x > *y) - (*x < *y);
}

const struct oci_pair **pairs_by_key(const pair_list *l)
{
	const struct oci_pair **v = calloc(l->n + 1, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; v && i < l->n; i++)
		v[i] = &l->v[i];
	if (v)
		qsort(v, l->n, sizeof(*v), compare_pairs);
	for (size_t i = 0; v && i < l->n; i++)
		if (n == 0 || !streq(v[n - 1]->key, v[i]->key))
			v[n++] = v[i];
	if (v)
		v[n] = NULL;
	return v;
}

const char *oci_annotation(const struct oci_config *c, const char *key)
{
	return pair_find(&c->annotations, key);
}

static const struct {
	const char *name, *file;
	int flag;
} namespaces[OCI_NS_COUNT] = {
	[OCI_NS_USER] = {"user", "user", CLONE_NEWUSER},
	[OCI_NS_PID] = {"pid", "pid", CLONE_NEWPID},
	[OCI_NS_MOUNT] = {"mount", "mnt", CLONE_NEWNS},
	[OCI_NS_NETWORK] = {"network", "net", CLONE_NEWNET},
	[OCI_NS_IPC] = {"ipc", "ipc", CLONE_NEWIPC},
	[OCI_NS_UTS] = {"uts", "uts", CLONE_NEWUTS},
	[OCI_NS_CGROUP] = {"cgroup", "cgroup", CLONE_NEWCGROUP},
	[OCI_NS_TIME] = {"time", "time", CLONE_NEWTIME},
};

const char *oci_ns_name(enum oci_ns ns)
{
	return namespaces[ns].name;
}

const char *oci_ns_file(enum oci_ns ns)
{
	return namespaces[ns].file;
}

int oci_ns_flag(enum oci_ns ns)
{
	return namespaces[ns].flag;
}
