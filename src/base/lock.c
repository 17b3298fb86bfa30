/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/lock.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

/*
 * GLib's mutexes are futexes inside a library that ThreadSanitizer does not
 * see into: without these notes every access under a lock is a false report.
 * The note of a release comes before it and that of an acquisition after it,
 * so that the notes never overlap where the locks do not.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WB_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define WB_TSAN 1
#endif

#ifdef WB_TSAN
#include <sanitizer/tsan_interface.h>
#define tsan_created(m) __tsan_mutex_create((m), __tsan_mutex_not_static)
#define tsan_destroyed(m) __tsan_mutex_destroy((m), 0)
#define tsan_acquired(m) do { \
	__tsan_mutex_pre_lock((m), 0); \
	__tsan_mutex_post_lock((m), 0, 0); \
} while (0)
#define tsan_tried(m, got) do { \
	unsigned flags = __tsan_mutex_try_lock | \
		((got) ? 0 : __tsan_mutex_try_lock_failed); \
	__tsan_mutex_pre_lock((m), __tsan_mutex_try_lock); \
	__tsan_mutex_post_lock((m), flags, 0); \
} while (0)
#define tsan_releasing(m) do { \
	__tsan_mutex_pre_unlock((m), 0); \
	__tsan_mutex_post_unlock((m), 0); \
} while (0)
#else
#define tsan_created(m) ((void)(m))
#define tsan_destroyed(m) ((void)(m))
#define tsan_acquired(m) ((void)(m))
#define tsan_tried(m, got) ((void)(m), (void)(got))
#define tsan_releasing(m) ((void)(m))
#endif

/* Its address is the id of a thread: no two that live have the same, and,
 * unlike g_thread_self() in a thread of a foreign library, it allocates nothing. */
static _Thread_local char self;

#ifdef WB_CHECKS

/* One lock of each rank at most, as ranks only grow. */
#define HELD_MAX 16

static _Thread_local struct {
	const struct wb_lock *lock[HELD_MAX];
	unsigned count;
} held;

static void check_may_acquire(const struct wb_lock *lock)
{
	for (unsigned i = 0; i < held.count; i++) {
		if (held.lock[i]->rank < lock->rank)
			continue;
		g_printerr("lock of rank %d taken while one of rank %d is held\n",
			   lock->rank, held.lock[i]->rank);
		abort();
	}
	g_assert(held.count < HELD_MAX);
}

static void note_acquired(const struct wb_lock *lock)
{
	held.lock[held.count++] = lock;
}

static void note_releasing(const struct wb_lock *lock)
{
	unsigned i = 0;

	while (i < held.count && held.lock[i] != lock)
		i++;
	g_assert(i < held.count);
	for (held.count--; i < held.count; i++)
		held.lock[i] = held.lock[i + 1];
}

/* A thread that sleeps with another lock held stops whoever needs that lock,
 * and that may be the one who was to wake it. */
static void check_may_wait(const struct wb_lock *lock)
{
	g_assert(held.count == 1 && held.lock[0] == lock);
}

#else
#define check_may_acquire(lock) ((void)(lock))
#define note_acquired(lock) ((void)(lock))
#define note_releasing(lock) ((void)(lock))
#define check_may_wait(lock) ((void)(lock))
#endif

static void set_owner(struct wb_lock *lock, gpointer owner)
{
	/* Relaxed: a thread only ever compares it with itself, and what it
	 * stored itself it sees. */
	__atomic_store_n(&lock->owner, owner, __ATOMIC_RELAXED);
}

void wb_lock_init(struct wb_lock *lock, enum wb_lock_rank rank)
{
	g_assert(rank > WB_RANK_NONE);
	g_mutex_init(&lock->mutex);
	lock->rank = rank;
	lock->owner = NULL;
	tsan_created(&lock->mutex);
}

void wb_lock_clear(struct wb_lock *lock)
{
	g_assert(__atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == NULL);
	tsan_destroyed(&lock->mutex);
	g_mutex_clear(&lock->mutex);
}

/* --- contention ------------------------------------------------------------ */

/* A line for each: who waits for one lock must not slow down who waits for another. */
static struct {
	guint64 count;		/* atomic, relaxed: they order nothing */
	guint64 ns;
} __attribute__((aligned(64))) waits_of[WB_RANK_COUNT];

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* What two requests fight for is held for some hundred instructions: who waits a moment on
 * its processor rarely has to sleep, and who sleeps costs the holder a system call too.
 * The moment is some two microseconds, what going to sleep would take. */
#define SPINS_MAX 64

static bool spin(struct wb_lock *lock)
{
	for (unsigned i = 0; i < SPINS_MAX; i++) {
		cpu_relax();
		/* Only looks: the line stays with the holder while it is held. */
		if (!__atomic_load_n(&lock->owner, __ATOMIC_RELAXED) &&
		    g_mutex_trylock(&lock->mutex))
			return true;
	}
	return false;
}

static void lock_contended(struct wb_lock *lock)
{
	guint64 before = wb_clock_now_ns(wb_clock_real());

	__atomic_fetch_add(&waits_of[lock->rank].count, 1, __ATOMIC_RELAXED);
	if (!spin(lock))
		g_mutex_lock(&lock->mutex);
	__atomic_fetch_add(&waits_of[lock->rank].ns, wb_clock_now_ns(wb_clock_real()) - before,
			   __ATOMIC_RELAXED);
}

void wb_lock_get_waits(enum wb_lock_rank rank, struct wb_lock_waits *waits)
{
	waits->count = __atomic_load_n(&waits_of[rank].count, __ATOMIC_RELAXED);
	waits->ns = __atomic_load_n(&waits_of[rank].ns, __ATOMIC_RELAXED);
}

const char *wb_lock_rank_name(enum wb_lock_rank rank)
{
	static const char *const names[WB_RANK_COUNT] = {
		[WB_RANK_NONE] = "none",
		[WB_RANK_PARSER] = "parser",
		[WB_RANK_FRONTEND] = "frontend",
		[WB_RANK_SETTING] = "setting",
		[WB_RANK_CACHE] = "cache",
		[WB_RANK_WRITEBACK] = "writeback",
		[WB_RANK_FLUSH] = "flush",
		[WB_RANK_RECORDER] = "recorder",
		[WB_RANK_STRIPE] = "stripe",
		[WB_RANK_EXTENTS] = "extents",
		[WB_RANK_LOG] = "log",
		[WB_RANK_POLICY] = "policy",
		[WB_RANK_PARK] = "park",
		[WB_RANK_EXECUTOR] = "executor",
		[WB_RANK_STORE] = "store",
		[WB_RANK_POOL] = "pool",
		[WB_RANK_POOL_WAIT] = "pool_wait",
		[WB_RANK_STREAMS] = "streams",
		[WB_RANK_MESSAGE] = "message",
	};

	return names[rank];
}

/* --- locks ----------------------------------------------------------------- */

void wb_lock_acquire(struct wb_lock *lock)
{
	check_may_acquire(lock);
	/* The try costs what the lock itself costs when nobody has it. */
	if (!g_mutex_trylock(&lock->mutex))
		lock_contended(lock);
	tsan_acquired(&lock->mutex);
	note_acquired(lock);
	set_owner(lock, &self);
}

gboolean wb_lock_try(struct wb_lock *lock)
{
	gboolean got;

	check_may_acquire(lock);
	got = g_mutex_trylock(&lock->mutex);
	tsan_tried(&lock->mutex, got);
	if (!got)
		return FALSE;
	note_acquired(lock);
	set_owner(lock, &self);
	return TRUE;
}

void wb_lock_release(struct wb_lock *lock)
{
	wb_lock_assert_held(lock);
	note_releasing(lock);
	set_owner(lock, NULL);
	tsan_releasing(&lock->mutex);
	g_mutex_unlock(&lock->mutex);
}

void wb_lock_assert_held(const struct wb_lock *lock)
{
	g_assert(__atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == &self);
}

void wb_cond_init(struct wb_cond *cond)
{
	g_cond_init(&cond->cond);
	cond->waiter_count = 0;
}

void wb_cond_clear(struct wb_cond *cond)
{
	g_cond_clear(&cond->cond);
}

/* The lock changes hands inside GLib: owner and notes go with it. */
static void begin_wait(struct wb_cond *cond, struct wb_lock *lock)
{
	wb_lock_assert_held(lock);
	check_may_wait(lock);
	/* Whoever changes what we wait for takes the lock after this, and sees it. */
	__atomic_fetch_add(&cond->waiter_count, 1, __ATOMIC_RELAXED);
	set_owner(lock, NULL);
	tsan_releasing(&lock->mutex);
}

static void end_wait(struct wb_cond *cond, struct wb_lock *lock)
{
	tsan_acquired(&lock->mutex);
	set_owner(lock, &self);
	__atomic_fetch_sub(&cond->waiter_count, 1, __ATOMIC_RELAXED);
}

void wb_cond_wait(struct wb_cond *cond, struct wb_lock *lock)
{
	begin_wait(cond, lock);
	g_cond_wait(&cond->cond, &lock->mutex);
	end_wait(cond, lock);
}

gboolean wb_cond_wait_until(struct wb_cond *cond, struct wb_lock *lock,
			    gint64 deadline_us)
{
	gboolean in_time;

	begin_wait(cond, lock);
	in_time = g_cond_wait_until(&cond->cond, &lock->mutex, deadline_us);
	end_wait(cond, lock);
	return in_time;
}

static bool has_waiters(const struct wb_cond *cond)
{
	return __atomic_load_n(&cond->waiter_count, __ATOMIC_RELAXED) > 0;
}

void wb_cond_signal(struct wb_cond *cond)
{
	if (has_waiters(cond))
		g_cond_signal(&cond->cond);
}

void wb_cond_broadcast(struct wb_cond *cond)
{
	if (has_waiters(cond))
		g_cond_broadcast(&cond->cond);
}
