/* SPDX-License-Identifier: Apache-2.0 */
/* Between handoff.c and listener.c. */
#pragma once

#include "sentry/guest.h"
#include "sentry/platform/handoff.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"

/* Area i has been asked; lock held.  false: the slot makes the call itself, for whatever reason. */
bool handoff_serve(struct handoff_page *page, unsigned i);

/* Whether it may be called now, CLOCK_MONOTONIC; it refuses where it was of no use lately. */
bool listener_is_willing(int64_t now);
/* The thread that has this area calls often: the listener shall look there. */
void listener_call(struct handoff_page *page, unsigned i);
