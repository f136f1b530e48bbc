/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/health.h"

#include "base/json_write.h"
#include "monitor/rfc3339.h"

#define HEALTH_SECOND INT64_C(1000000000)

const char *health_status_name(enum health_status s)
{
	switch (s) {
	case HEALTH_STARTING:
		return "starting";
	case HEALTH_HEALTHY:
		return "healthy";
	case HEALTH_UNHEALTHY:
		break;
	}
	return "unhealthy";
}

void health_clear(struct health *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->log[i].output);
	h->n = 0;
}

void health_begin(struct health *h)
{
	if (h->interval <= 0)
		h->interval = 30 * HEALTH_SECOND;
	if (h->timeout <= 0)
		h->timeout = 30 * HEALTH_SECOND;
	if (h->start_interval <= 0)
		h->start_interval = 5 * HEALTH_SECOND;
	if (h->retries == 0)
		h->retries = 3;
	health_clear(h);
	h->status = HEALTH_STARTING;
	h->streak = 0;
}

int64_t health_wait(const struct health *h, int64_t since_start)
{
	bool early = h->status == HEALTH_STARTING && since_start < h->start_period;

	return early ? h->start_interval : h->interval;
}

static void health_keep(struct health *h, struct health_result *result)
{
	if (h->n == HEALTH_LOG_MAX) {
		free(h->log[0].output);
		memmove(h->log, h->log + 1, (HEALTH_LOG_MAX - 1) * sizeof(h->log[0]));
		h->n--;
	}
	h->log[h->n] = *result;
	h->log[h->n++].output = take_ptr(&result->output);
}

bool health_result(struct health *h, struct health_result *result, int64_t since_start)
{
	enum health_status before = h->status;

	health_keep(h, result);
	if (result->exit_code == 0) {
		h->streak = 0;
		h->status = HEALTH_HEALTHY;
	} else if (h->status != HEALTH_STARTING || since_start >= h->start_period) {
		if (h->streak < UINT32_MAX)
			h->streak++;
		if (h->streak >= h->retries)
			h->status = HEALTH_UNHEALTHY;
	}
	return h->status != before;
}

char *health_json(const struct health *h)
{
	struct json_out out autojsonout = {0};
	char time[RFC3339_MAX];

	json_begin_object(&out, NULL);
	json_put_str(&out, "Status", health_status_name(h->status));
	json_put_u64(&out, "FailingStreak", h->streak);
	json_begin_list(&out, "Log");
	for (size_t i = 0; i < h->n; i++) {
		const struct health_result *l = &h->log[i];
		json_begin_object(&out, NULL);
		(void)rfc3339_format(l->start, time);
		json_put_str(&out, "Start", time);
		(void)rfc3339_format(l->end, time);
		json_put_str(&out, "End", time);
		json_put_i64(&out, "ExitCode", l->exit_code);
		json_put_str(&out, "Output", l->output ? l->output : "");
		json_end(&out);
	}
	json_end(&out);
	json_end(&out);
	return json_take(&out);
}
