/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts that the container's root was made of, kept for containers of the
 * same layers that start later (image/layer_share.c has the theory).  Nothing is done with
 * them here: who needs one takes it.  Those of a new run replace those of the run before.
 */
#include "monitor/program/mon.h"
#include "monitor/report.h"

bool layers_receive(struct mon *m)
{
	struct held_mounts got;
	int r = report_recv_layers(m->report, &got);

	if (r <= 0)
		return r == 0;
	held_mounts_drop(&m->layers);
	m->layers = got;
	if (held_mounts_offer(&m->layers) < 0) /* then others cannot find them */
		held_mounts_drop(&m->layers);
	return true;
}
