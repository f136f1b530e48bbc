/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/state.h"

#include "oci/container_state.h"

struct oci_time oci_time(struct timespec t)
{
	struct oci_time text = {0};
	struct tm tm = {0};
	size_t n;

	if (!gmtime_r(&t.tv_sec, &tm))
		(void)gmtime_r(&(time_t){0}, &tm); /* a year beyond int: not from a clock */
	n = strftime(text.s, sizeof(text.s), "%Y-%m-%dT%H:%M:%S", &tm);
	if (t.tv_nsec > 0 && t.tv_nsec < 1000000000) {
		n += (size_t)snprintf(text.s + n, sizeof(text.s) - n, ".%09ld", t.tv_nsec);
		while (text.s[n - 1] == '0')
			n--;
	}
	(void)snprintf(text.s + n, sizeof(text.s) - n, "Z"); /* always fits */
	return text;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct oci_pair *)a)->key, ((const struct oci_pair *)b)->key);
}

static void write_annotations(struct json_out *out, const pair_list *pairs)
{
	if (!pairs || pairs->n == 0)
		return;
	autofree struct oci_pair *sorted = malloc(pairs->n * sizeof(*sorted));
	if (!sorted) {
		out->text.failed = true;
		return;
	}
	memcpy(sorted, pairs->v, pairs->n * sizeof(*sorted));
	qsort(sorted, pairs->n, sizeof(*sorted), compare_keys);
	json_begin_object(out, "annotations");
	for (size_t i = 0; i < pairs->n; i++)
		json_put_str(out, sorted[i].key, sorted[i].value);
	json_end(out);
}

void oci_state_write(struct json_out *out, const char *key, const struct oci_state *s)
{
	json_begin_object(out, key);
	json_put_str(out, "ociVersion", OCI_VERSION);
	json_put_str(out, "id", s->id);
	json_put_i64(out, "pid", s->pid);
	json_put_str(out, "status", s->status);
	json_put_str(out, "bundle", s->bundle);
	json_put_str(out, "rootfs", s->rootfs ? s->rootfs : "");
	json_put_str(out, "created", oci_time(s->created).s);
	write_annotations(out, s->annotations);
	json_put_str(out, "owner", s->owner ? s->owner : "");
	json_end(out);
}

void oci_state_write_spec(struct json_out *out, const char *key, const struct oci_state *s)
{
	json_begin_object(out, key);
	json_put_str(out, "ociVersion", OCI_VERSION);
	json_put_str(out, "id", s->id);
	json_put_str(out, "status", s->status);
	if (s->pid > 0)
		json_put_i64(out, "pid", s->pid);
	json_put_str(out, "bundle", s->bundle);
	write_annotations(out, s->annotations);
	json_end(out);
}

int oci_container_process_state_text(const struct oci_container_process_state *s, char **ret_text,
				     struct err *err)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersion", OCI_VERSION);
	json_put_strs(&out, "fds", s->fds, s->nfds);
	json_put_i64(&out, "pid", s->pid);
	json_put_opt_str(&out, "metadata", s->metadata);
	oci_state_write_spec(&out, "state", s->state);
	json_end(&out);
	char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	*ret_text = text;
	return 0;
}
