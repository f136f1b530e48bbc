/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper of a virtual machine (coffer-vm, outside) and the agent
 * (coffer-agent, pid 1 inside) say to each other.
 *
 * One reliable stream of bytes carries it: the virtio-serial port
 * GUEST_PORT_AGENT, or a vsock connection to the host's port GUEST_VSOCK_AGENT.
 * A frame is a header and its payload, little-endian.  The stream is
 * multiplexed: each process has an id that the keeper chose, each of its
 * streams a window, so that one that nobody reads holds up nobody else.
 *
 *	agent                                  keeper
 *	READY                         ->
 *	                              <-  HELLO          time, entropy
 *	                              <-  NETWORK, MOUNT ...
 *	                              <-  RUN            the container's first process
 *	REPLY                         ->
 *	OUTPUT ..., EXITED            ->
 *	                              <-  INPUT ..., SIGNAL, RESIZE, EXEC ...
 *
 * Every request but those of a stream (INPUT, CREDIT, RESIZE) is answered by
 * one REPLY with the request's `id`.  Replies may overtake one another, but
 * HELLO, NETWORK and MOUNT are done in their order, before what comes behind
 * them.  A session runs one container: one RUN.  At most GUEST_LIVE_MAX
 * processes of the keeper's are there at once.
 *
 * A machine runs several containers where it is a pod: each has a keeper of
 * its own, two ports of its own, named after the two above with a number
 * behind a dot, and an agent of its own behind them, a child of the first.
 * The first keeper has the ports made and asks for that agent (MEMBER); from
 * its READY on, all that is said here is said between those two alone, but for
 * NETWORK, MEMBER and FREEZE, which are the machine's.
 *
 * The keeper believes nothing: a frame that is out of place, too long or of
 * no process of its ends the machine.  Nothing that the guest sends is parsed
 * but the fixed structs below.
 */
#pragma once

#include "base/err.h"

/* Names of virtio-serial ports: /sys/class/virtio-ports/N/name. */
#define GUEST_PORT_AGENT "dev.coffer.agent"
#define GUEST_PORT_SHARE "dev.coffer.share" /* raw FUSE requests and replies; vm/share/share.h */
enum { GUEST_VSOCK_AGENT = 1024, GUEST_VSOCK_SHARE = 1025 };

enum {
	GUEST_PROTOCOL = 1,	      /* READY and HELLO say it; another one is refused */
	GUEST_PAYLOAD_MAX = 16 << 20, /* keeper to agent: documents */
	GUEST_ANSWER_MAX = 64 << 10,  /* agent to keeper */
	GUEST_DATA_MAX = 32 << 10,    /* of one INPUT or OUTPUT */
	GUEST_LIVE_MAX = 1024,
	GUEST_WINDOW = 256 << 10, /* bytes of a stream that may be under way without CREDIT */
};

enum guest_frame_type {
	/* agent to keeper */
	GUEST_READY = 1, /* struct guest_ready */
	GUEST_REPLY,	 /* struct guest_reply, then what the request says */
	GUEST_OUTPUT,	 /* stream 1 or 2 of a process; no payload = its end */
	GUEST_EXITED,	 /* struct guest_exited; output may still follow, until both streams have ended */
	GUEST_OOM,	 /* a process of the container was killed for want of memory */
	GUEST_LOG,	 /* text, for the console's log */
	GUEST_LEFT,	 /* struct guest_member: that one's agent has ended, and all that it ran */

	/* keeper to agent */
	GUEST_HELLO = 64, /* struct guest_hello */
	GUEST_NETWORK,	  /* JSON: see docs/vm.md, "Network" */
	GUEST_MOUNT,	  /* struct guest_mount and strings */
	GUEST_RUN,	  /* struct guest_process, then the OCI configuration for the guest (JSON) */
	GUEST_EXEC,	  /* struct guest_process, then an OCI process object (JSON) */
	GUEST_INPUT,	  /* stream 0 of a process; no payload = its end */
	GUEST_SIGNAL,	  /* struct guest_signal */
	GUEST_RESIZE,	  /* struct guest_size */
	GUEST_UPDATE,	  /* OCI resources (JSON) */
	GUEST_PROCESSES,  /* struct guest_processes; REPLY with an array of struct guest_process_row */
	GUEST_TIME,	  /* struct guest_hello again: after a pause or a restore */
	GUEST_SHUTDOWN,	  /* sync, and power off; no REPLY */
	GUEST_STATS,	  /* REPLY with struct guest_stats */
	GUEST_FREEZE,	  /* the machine is to be saved: see below */
	GUEST_THAW,	  /* the host name of the container, not terminated; none: as it was */
	GUEST_MEMBER,	  /* struct guest_admission: a further container; its ports may come a little later */
	GUEST_PAUSE,	  /* the container's processes stand still; the session does not */
	GUEST_RESUME,

	/* both */
	GUEST_CREDIT = 128, /* struct guest_credit: so many bytes of a stream were consumed; 0, from the
			     * keeper: nobody reads it any more */
};

struct guest_frame {
	uint32_t len;	  /* of the payload */
	uint16_t type;	  /* enum guest_frame_type */
	uint16_t stream;  /* 0, 1, 2 where the type is of a stream; else 0 */
	uint32_t process; /* whose; 0 = none */
	uint32_t id;	  /* of a request, and of its REPLY; never 0; 0 in other frames */
};

struct guest_ready {
	uint32_t protocol;
	uint32_t timer_percent; /* how long a sleep takes of what was asked for; 0 = not measured */
	uint64_t memory;	/* bytes, MemTotal */
	uint64_t boot_ns;	/* from the kernel's start to READY */
};
/* A guest that comes from a snapshot says no READY: whoever restored it begins with HELLO. */

/*
 * FREEZE stops the container's processes and waits until nothing of theirs is
 * on its way to the file share.  Its REPLY is the last that the agent says
 * before THAW: who stops the machine behind it has all of its bytes, and the
 * agent all of his, if he sent none meanwhile.  A copy of that machine, which
 * another keeper restores, is told HELLO, NETWORK where it has cards (it takes
 * the addresses of the one that was saved away) and THAW; the machine itself
 * TIME and THAW.
 */

/* Numbers are given once in a machine's life; never 0. */
struct guest_member {
	uint32_t number;
};
enum { GUEST_SHARES_PIDS = 1 /* its processes are in the pid namespace of the first container */ };
struct guest_admission {
	uint32_t number;
	uint32_t flags;
};
/* Where one that shares them finds that namespace, as linux.namespaces names it to its agent. */
#define GUEST_PIDS_AT "/run/coffer/pids"

struct guest_hello {
	uint32_t protocol;
	uint32_t zero;
	uint64_t realtime_ns; /* since 1970 */
	uint8_t entropy[32];
};

struct guest_reply {
	int32_t code;	     /* 0 or -errno */
	int32_t exit_status; /* what the runtime should exit with; 0 = its default */
};
/* Where code < 0: one line of text follows, not terminated. */

struct guest_exited {
	int32_t status; /* as waitpid */
};

/* Where the guest has the file share once more, beside the container's root: sources of its bind mounts. */
#define GUEST_SHARE_AT "/run/coffer/share"

struct guest_mount {
	uint64_t flags; /* MS_* */
	/* type, source, target, data follow, each with its NUL.  Type "coffer-share": the tree behind the
	 * share port.  The target is made where it lacks. */
};

enum {
	GUEST_TERMINAL = 1,
	GUEST_STDIN = 2 /* there is one */,
	GUEST_OUTSIDE = 4 /* EXEC: beside the
container, in the guest's own namespaces (`exec --vm`) */
};

struct guest_process {
	uint32_t flags;
	uint16_t rows, columns; /* of the terminal; 0 = unknown */
};

enum { GUEST_SIGNAL_ALL = 1 };
struct guest_signal {
	uint32_t signal;
	uint32_t flags;
};

struct guest_size {
	uint16_t rows, columns;
};

struct guest_credit {
	uint32_t bytes;
};

/* As many rows as fit into a REPLY, by rising pid; fewer than GUEST_ROWS_MAX: there are no more. */
struct guest_processes {
	int32_t above; /* rows of pids greater than this; 0 = from the beginning */
};

struct guest_process_row {
	int32_t pid, parent; /* in the container's pid namespace */
	uint32_t uid;
	uint32_t zero;
	uint64_t started_ns; /* since the guest's boot */
	uint64_t user_ns, system_ns;
	uint64_t resident;		 /* bytes */
	char terminal[16], command[184]; /* NUL-terminated */
};
enum { GUEST_ROWS_MAX = (GUEST_ANSWER_MAX - sizeof(struct guest_reply)) / sizeof(struct guest_process_row) };

/* Of the container's group in the guest. */
struct guest_stats {
	uint64_t memory, memory_peak, inactive_file; /* bytes */
	uint64_t memory_limit;	  /* bytes; where there is none, all that the machine has */
	uint64_t memory_failures; /* how often the limit was met */
	uint64_t pids;
};

/*
 * The codec.  A reader takes bytes as they come and gives whole frames.
 * max_payload: what the other side may send at most.
 */
struct guest_reader {
	size_t max_payload;
	unsigned char *buf; /* owned */
	size_t len, size, used;
};
/* Where to read into next: at least 1 byte of room.  -ENOMEM. */
must_use int guest_reader_room(struct guest_reader *r, void **ret, size_t *ret_size);
void guest_reader_filled(struct guest_reader *r, size_t n);
/* 1: a frame, whose payload is valid until the next call of guest_reader_room(); 0: more bytes are needed;
 * -EBADMSG: it is no frame. */
must_use int guest_reader_next(struct guest_reader *r, struct guest_frame *ret, const void **ret_payload,
			       struct err *err);
void guest_reader_free(struct guest_reader *r);
