/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper's driver (vm/vmm.c) and coffer-vmm say to each other, over
 * a SOCK_SEQPACKET pair.  coffer-vmm speaks first: one reply when the guest
 * runs, or why it does not.  Then each request has one reply.
 */
#pragma once

#include "base/err.h"

enum { VMM_STATE_VERSION = 1 }; /* of what VMM_SAVE writes; another one is refused */

enum vmm_request_type {
	VMM_PAUSE = 1,
	VMM_RESUME,
	VMM_SAVE, /* with one descriptor: what the state is written to; the machine is paused */
};

struct vmm_request {
	uint32_t type;
	uint32_t zero;
	uint64_t at;	    /* VMM_SAVE: where in the file the state goes */
	uint64_t memory_at; /* and the guest's memory, whose zeros become holes; 0: it is in its own file */
};

struct vmm_reply {
	int32_t code; /* 0 or -errno */
	char msg[508];
};
