/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "isolate/vm/vm.h"

must_use int vm_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err);
must_use int vm_inner_processes(const struct sandbox *s, struct isolate_process **ret, size_t *ret_n,
				struct err *err);
/* After the machine stood still. */
must_use int vm_set_clock(const struct sandbox *s, struct err *err);
/* -ENOTSUP with no error set: it cannot be asked now. */
struct guest_stats;
must_use int vm_guest_stats(const struct sandbox *s, struct guest_stats *ret, struct err *err);
must_use int vm_save(const struct sandbox *s, int file, int *ret_hold, struct err *err);
/* Of a pod's further container: its processes in the guest stand still, or go on. */
must_use int vm_stand(const struct sandbox *s, bool still, struct err *err);
must_use int vm_update_guest(const struct sandbox *s, const struct oci_resources *r, struct err *err);
