/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When writeback may go on, as a person writes it:
 *
 *   always                     (the default) at any time
 *   never                      only when it has to: see rest.h
 *   02:00-05:00                each day from the first time on until the second; one
 *                              that is earlier is that of the next day
 *   every 4h                   all that is dirty, when something has been so for that
 *                              long: m, h or d
 *
 * Up to four windows and one `every` can be combined, with blanks or '+' between them
 * (a mount option in fstab(5) has no blanks). Times are those of the clock on the wall:
 * which, is for the caller to know. Pure, plain data, all zero for `always`.
 */
#ifndef WB_CACHE_SCHEDULE_H
#define WB_CACHE_SCHEDULE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define WB_SCHEDULE_WINDOWS_MAX 4u
#define WB_DAY_S 86400u

struct wb_schedule_window {
	uint16_t from, to;		/* minutes of the day: 0..1439, and 0..1440 */
};

struct wb_schedule {
	uint32_t every_s;		/* 0: not */
	uint16_t is_never;
	uint16_t window_count;
	struct wb_schedule_window window[WB_SCHEDULE_WINDOWS_MAX];
};

/* FALSE when it is none; *schedule is unchanged then. */
bool wb_schedule_parse(const char *text, struct wb_schedule *schedule);
/* The other way round, without blanks, appended. */
void wb_schedule_append(const struct wb_schedule *schedule, GString *text);
/* What wb_schedule_parse() takes, for people. */
extern const char wb_schedule_grammar[];

bool wb_schedule_is_always(const struct wb_schedule *schedule);
/* Is that second of a day in one of its windows? */
bool wb_schedule_is_open(const struct wb_schedule *schedule, uint32_t second);
/* How long it is from there to the beginning of the next one; UINT32_MAX: there is none. */
uint32_t wb_schedule_opens_in_s(const struct wb_schedule *schedule, uint32_t second);

#endif
