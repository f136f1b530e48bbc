/* SPDX-License-Identifier: Apache-2.0 */
/* Every command there is; commands.c says by which names they are called. */
#pragma once

#include "front/cli/cli.h"

extern const struct command command_run, command_create, command_start, command_attach, command_exec;
extern const struct command command_stop, command_kill, command_restart, command_pause, command_unpause,
	command_wait, command_rm, command_rename, command_update;
extern const struct command command_ps, command_port, command_top, command_stats, command_logs,
	command_events;
extern const struct command command_inspect, command_inspect_container, command_inspect_image,
	command_inspect_network, command_inspect_volume;
extern const struct command command_exists_container, command_exists_image, command_exists_network,
	command_exists_volume;
extern const struct command command_images, command_history, command_tag, command_rmi, command_save,
	command_load, command_import, command_export, command_commit, command_diff, command_cp,
	command_build_base;
extern const struct command command_pull, command_push, command_login, command_logout, command_search;
extern const struct command command_volume_create, command_volume_ls, command_volume_rm;
extern const struct command command_network_create, command_network_ls, command_network_rm,
	command_network_connect, command_network_disconnect;
extern const struct command command_df, command_system_prune, command_container_prune, command_image_prune,
	command_network_prune, command_volume_prune, command_check;
extern const struct command command_healthcheck_run;
extern const struct command command_make_again, command_finish, command_start_all;
extern const struct command command_pod_create, command_pod_inspect, command_pod_ls, command_pod_rm,
	command_pod_start, command_pod_stop;
extern const struct command command_vm_build_kernel, command_vm_fetch_kernel, command_vm_build_initramfs,
	command_vm_ls, command_vm_rm, command_vm_snapshot, command_vm_snapshot_ls,
	command_vm_snapshot_inspect, command_vm_snapshot_rm;
extern const struct command command_version, command_info, command_doctor, command_completion, command_man;
