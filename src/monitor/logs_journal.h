/* SPDX-License-Identifier: Apache-2.0 */
/* `logs` of a container whose log driver is journald. */
#pragma once

#include "monitor/monitor.h"

/* As monitor_logs(). */
must_use int logs_journal(const struct monitor_log_query *q, struct err *err);
