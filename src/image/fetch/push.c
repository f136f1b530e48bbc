/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/fetch.h"

int fetch_push(struct fetch *f, const struct push_options *o, struct err *err)
{
	(void)f;
	(void)o;
	return err_set(err, ENOSYS, "push is not there yet");
}
