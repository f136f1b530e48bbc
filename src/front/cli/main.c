/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer: the command line that people type.  A forker: it has one thread,
 * always, because it forks into namespaces.
 *
 * What a start costs is paid by every command, so that nothing is done before
 * it is needed: no locale, no user database; the configuration is read when
 * the engine is opened, and the engine when a command asks for it.
 */
#include "front/cli/cli.h"

#include <malloc.h>

int main(int argc, char **argv)
{
	/* Nor is memory given back: who lives for some milliseconds would only ask for it again. */
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_TOP_PAD, 512 << 10);
	return cli_main(argc, argv);
}
