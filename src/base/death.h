/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Points at which a process may die, for what it does to memory that outlives it: a
 * simulation looks at that memory as it is at one of them, between two stores. Nothing
 * at all but in a build with --enable-checks or --enable-mutants.
 */
#ifndef WB_BASE_DEATH_H
#define WB_BASE_DEATH_H

#if defined WB_CHECKS || defined WB_MUTANTS

extern void (*wb_death_hook)(void);	/* of one thread; NULL: nobody looks */

#define WB_DEATH_POINT() \
	do { \
		if (wb_death_hook) \
			wb_death_hook(); \
	} while (0)

#else

#define WB_DEATH_POINT() ((void)0)

#endif

#endif
