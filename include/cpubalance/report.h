/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One struct that D-Bus, Prometheus and cpubalctl all show, filled by the manager after each tick.
 * The strings belong to the manager or are static; they stay valid until the report is filled again.
 */

#include <stdbool.h>

#include "cpubalance/macro.h"

#define CB_REPORT_TYPE_STRING const char *
#define CB_REPORT_TYPE_U32 uint32_t
#define CB_REPORT_TYPE_I32 int32_t
#define CB_REPORT_TYPE_U64 uint64_t
#define CB_REPORT_TYPE_DOUBLE double
#define CB_REPORT_TYPE_BOOL bool

struct cb_report {
#define CB_REPORT_ROW(type, field, Name, emits, help) CB_REPORT_TYPE_##type field;
#include "cpubalance/report.def"
#undef CB_REPORT_ROW
};
