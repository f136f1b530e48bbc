/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the specification defines: what the checks know and `features` lists.  NULL-terminated, sorted.
 */
#pragma once

extern const char *const oci_seccomp_actions[],
	*const oci_seccomp_operators[], *const oci_seccomp_archs[], *const oci_seccomp_flags[];
extern const char *const oci_memory_policy_modes[], *const oci_memory_policy_flags[];
/* In the order in which they run. */
extern const char *const oci_hook_names[];
extern const char *const oci_namespace_names[];
