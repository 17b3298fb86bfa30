/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to a file while keeping, outside of it, a book of what was issued,
 * acknowledged and synced; after a crash of the file's server it says whether
 * what is found is allowed.
 *
 *   synced_writer write  FILE BOOK SIZE_BYTES THREADS SEED [PID]
 *   synced_writer verify FILE BOOK
 *   synced_writer check  FILE BOOK     as verify, but the book stays as it is,
 *                                      and nothing acknowledged may be missing
 *   synced_writer synced FILE BOOK     as check, but of what was not synced any
 *                                      of it may be there
 *
 * Every sector written carries a stamp: its own number, the writing thread and
 * a sequence number, the rest filled from these. A thread owns lanes of 1 MiB
 * and has one write under way at a time, so the order of its writes is known.
 * Checked per sector after a crash (the design's promises):
 *   - it holds a value that was written there since the last verify, or the
 *     one found then; a stamp of a time line that was dropped is wrong;
 *   - no write covered by an fsync (of any thread) or by its own O_DSYNC is
 *     missing;
 *   - prefix: when a write is found, nothing that was acknowledged before it
 *     was issued is missing;
 *   - of a write, each block of 4096 bytes is there or not, never a part of it.
 * The writing side checks by reads, while it runs, that its newest
 * acknowledged data are returned.
 *
 * With PID it kills that process itself, in the very moment in which one of its
 * syncs returns: the sharpest test of what that sync said.
 *
 * Exit status of `write`: 3 when the server died (that is what is hoped for),
 * 1 for anything wrong. The book is a mapped file: it survives a SIGKILL of
 * either side, not of the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512u
#define LANE_SECTORS 2048u
#define THREADS_MAX 16u
#define LOG_MAX (1u << 18)	/* writes of one thread in one round */
#define BOOK_MAGIC UINT64_C(0x6b6f6f6273666277)
#define STAMP_MAGIC UINT64_C(0x706d617473666277)
#define ZERO_FLAG (UINT64_C(1) << 63)	/* the sector reads as zeros */

struct stamp {
	uint64_t magic, book_id, sector, sequence;
	uint32_t thread, unused;
};

struct write_entry {
	uint64_t sequence;
	uint32_t first_sector, sector_count;
	uint32_t is_zero, unused;
	uint64_t issued_at;			/* ticks; never 0 */
	_Atomic uint64_t acknowledged_at;	/* 0 = not acknowledged */
};

struct thread_book {
	uint64_t last_sequence;			/* over all rounds */
	_Atomic uint32_t logged, acknowledged;	/* entries of this round */
	_Atomic uint32_t synced;		/* entries [0, synced) are durable */
};

struct book {
	uint64_t magic, id, size_sectors;
	uint32_t thread_count, rounds;
	_Atomic uint64_t tick;
	struct thread_book threads[THREADS_MAX];
	/* then: base[size_sectors], log[THREADS_MAX][LOG_MAX] */
};

static struct book *book;
static uint64_t *base_values;		/* per sector: sequence, or ZERO_FLAG */
static struct write_entry *log_entries;
static int file_fd, dsync_fd;
static uint64_t run_seed;
static atomic_bool server_died, found_wrong;
static pid_t victim;			/* 0: somebody else kills */
static atomic_int syncs_to_live;

static struct write_entry *log_of(unsigned thread)
{
	return log_entries + (size_t)thread * LOG_MAX;
}

static unsigned owner_of(uint64_t sector)
{
	return (sector / LANE_SECTORS) % book->thread_count;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void fill_sector(uint8_t *at, uint64_t sector, unsigned thread, uint64_t sequence)
{
	struct stamp stamp = { STAMP_MAGIC, book->id, sector, sequence, thread, 0 };
	uint64_t state = book->id ^ sector << 20 ^ sequence;

	memcpy(at, &stamp, sizeof(stamp));
	for (size_t i = sizeof(stamp); i < SECTOR; i += 8) {
		uint64_t word = next_random(&state);

		memcpy(at + i, &word, 8);
	}
}

/* --- the book ---------------------------------------------------------------- */

static size_t book_bytes(uint64_t size_sectors)
{
	return sizeof(struct book) + size_sectors * 8 +
	       (size_t)THREADS_MAX * LOG_MAX * sizeof(struct write_entry);
}

static void map_book(int fd, size_t bytes)
{
	book = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (book == MAP_FAILED)
		die("mmap of the book");
}

static void point_into_book(void)
{
	base_values = (uint64_t *)(book + 1);
	log_entries = (struct write_entry *)(base_values + book->size_sectors);
}

static void open_book(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR);

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	map_book(fd, (size_t)st.st_size);
	if (book->magic != BOOK_MAGIC) {
		fprintf(stderr, "%s is not a book of synced_writer\n", path);
		exit(1);
	}
	point_into_book();
}

static void create_book(const char *path, uint64_t size_sectors, unsigned thread_count)
{
	size_t bytes = book_bytes(size_sectors);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	uint64_t state = (uint64_t)getpid() << 32 ^ run_seed;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		die(path);
	map_book(fd, bytes);
	book->id = next_random(&state);
	book->size_sectors = size_sectors;
	book->thread_count = thread_count;
	book->tick = 1;
	point_into_book();
	for (uint64_t i = 0; i < size_sectors; i++)
		base_values[i] = ZERO_FLAG;
	book->magic = BOOK_MAGIC;
}

/* --- writing -------------------------------------------------------------------- */

struct writer {
	unsigned thread;
	uint64_t random;
	uint64_t *expected;	/* shared array; a thread touches its own lanes */
	uint8_t *buffer;
};

static bool is_death(int error)
{
	return error == ENOTCONN || error == ECONNABORTED || error == ECANCELED || error == EIO ||
	       error == ENODEV || error == EINTR;
}

/* FALSE when the thread has to end. */
static bool went_well(bool fine, const char *what)
{
	if (fine)
		return !atomic_load(&server_died);
	if (is_death(errno)) {
		if (!atomic_exchange(&server_died, true))
			fprintf(stderr, "%s: %s\n", what, strerror(errno));
	} else {
		perror(what);
		atomic_store(&found_wrong, true);
	}
	return false;
}

static void pick_range(struct writer *w, uint64_t *first, uint32_t *count)
{
	uint64_t lanes = book->size_sectors / LANE_SECTORS;
	uint64_t own = lanes / book->thread_count;
	uint64_t lane = next_random(&w->random) % own * book->thread_count + w->thread;
	unsigned kind = next_random(&w->random) % 100;
	uint32_t start;

	if (kind < 50) {		/* one block */
		*count = 8;
		start = next_random(&w->random) % (LANE_SECTORS / 8) * 8;
	} else if (kind < 75) {		/* some sectors */
		*count = 1 + next_random(&w->random) % 16;
		start = next_random(&w->random) % (LANE_SECTORS - *count + 1);
	} else if (kind < 95) {		/* up to 64 KiB */
		*count = 1 + next_random(&w->random) % 128;
		start = next_random(&w->random) % (LANE_SECTORS - *count + 1);
	} else {			/* up to the lane */
		*count = 1 + next_random(&w->random) % LANE_SECTORS;
		start = next_random(&w->random) % (LANE_SECTORS - *count + 1);
	}
	*first = lane * LANE_SECTORS + start;
}

/* What is acknowledged now, for a sync that is issued after this. */
static void snapshot(uint32_t acknowledged[THREADS_MAX])
{
	for (unsigned t = 0; t < book->thread_count; t++)
		acknowledged[t] = atomic_load(&book->threads[t].acknowledged);
}

static void mark_synced(const uint32_t acknowledged[THREADS_MAX])
{
	for (unsigned t = 0; t < book->thread_count; t++) {
		uint32_t old = atomic_load(&book->threads[t].synced);

		while (old < acknowledged[t] &&
		       !atomic_compare_exchange_weak(&book->threads[t].synced, &old,
						     acknowledged[t]))
			;
	}
}

static void sync_returned(const uint32_t acknowledged[THREADS_MAX])
{
	if (victim && atomic_fetch_sub(&syncs_to_live, 1) == 1)
		kill(victim, SIGKILL);
	mark_synced(acknowledged);
}

static struct write_entry *log_write(struct writer *w, uint64_t first, uint32_t count,
				     bool is_zero)
{
	struct thread_book *mine = &book->threads[w->thread];
	uint32_t index = atomic_load(&mine->logged);
	struct write_entry *entry = &log_of(w->thread)[index];

	entry->sequence = ++mine->last_sequence;
	entry->first_sector = (uint32_t)first;
	entry->sector_count = count;
	entry->is_zero = is_zero;
	entry->acknowledged_at = 0;
	entry->issued_at = atomic_fetch_add(&book->tick, 1);
	atomic_store(&mine->logged, index + 1);
	return entry;
}

static bool do_write(struct writer *w, bool is_zero, bool is_dsync)
{
	struct thread_book *mine = &book->threads[w->thread];
	uint32_t acknowledged[THREADS_MAX];
	struct write_entry *entry;
	uint64_t first;
	uint32_t count;
	ssize_t done;

	pick_range(w, &first, &count);
	if (is_dsync)
		snapshot(acknowledged);
	entry = log_write(w, first, count, is_zero);
	if (is_zero) {
		int mode = FALLOC_FL_KEEP_SIZE | (next_random(&w->random) % 2 ?
			   FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

		done = fallocate(file_fd, mode, (off_t)(first * SECTOR),
				 (off_t)count * SECTOR) == 0 ? (ssize_t)(count * SECTOR) : -1;
	} else {
		for (uint32_t i = 0; i < count; i++)
			fill_sector(w->buffer + (size_t)i * SECTOR, first + i, w->thread,
				    entry->sequence);
		done = pwrite(is_dsync ? dsync_fd : file_fd, w->buffer,
			      (size_t)count * SECTOR, (off_t)(first * SECTOR));
	}
	if (done >= 0 && done != (ssize_t)(count * SECTOR)) {
		/* the kernel cuts a transfer short when the server dies in it */
		fprintf(stderr, "short write: %zd of %u\n", done, count * SECTOR);
		atomic_store(&server_died, true);
		return false;
	}
	if (!went_well(done >= 0, is_zero ? "fallocate" : "write"))
		return false;
	atomic_store(&entry->acknowledged_at, atomic_fetch_add(&book->tick, 1));
	atomic_fetch_add(&mine->acknowledged, 1);
	if (is_dsync) {
		acknowledged[w->thread] = atomic_load(&mine->acknowledged);
		sync_returned(acknowledged);
	}
	for (uint32_t i = 0; i < count; i++)
		w->expected[first + i] = is_zero ? ZERO_FLAG : entry->sequence;
	return true;
}

static bool do_sync(void)
{
	uint32_t acknowledged[THREADS_MAX];

	snapshot(acknowledged);
	if (!went_well(fdatasync(file_fd) == 0, "fdatasync"))
		return false;
	sync_returned(acknowledged);
	return true;
}

static bool sector_holds(const uint8_t *at, uint64_t sector, uint64_t value)
{
	uint8_t wanted[SECTOR] = { 0 };

	if (!(value & ZERO_FLAG))
		fill_sector(wanted, sector, owner_of(sector), value);
	return memcmp(at, wanted, SECTOR) == 0;
}

static void describe_sector(const uint8_t *at, uint64_t sector)
{
	static const uint8_t zeros[SECTOR];
	struct stamp stamp;

	memcpy(&stamp, at, sizeof(stamp));
	if (memcmp(at, zeros, SECTOR) == 0)
		fprintf(stderr, "    found zeros\n");
	else if (stamp.magic != STAMP_MAGIC)
		fprintf(stderr, "    found no stamp: garbage\n");
	else
		fprintf(stderr, "    found sector %lu thread %u sequence %lu%s%s\n",
			stamp.sector, stamp.thread, stamp.sequence,
			stamp.book_id == book->id ? "" : " of another book",
			sector_holds(at, sector, stamp.sequence) ? "" : ", not whole or not here");
}

static bool do_read(struct writer *w)
{
	uint64_t first;
	uint32_t count;
	ssize_t done;

	pick_range(w, &first, &count);
	done = pread(file_fd, w->buffer, (size_t)count * SECTOR, (off_t)(first * SECTOR));
	if (done >= 0 && done != (ssize_t)(count * SECTOR)) {
		fprintf(stderr, "short read: %zd of %u\n", done, count * SECTOR);
		atomic_store(&server_died, true);
		return false;
	}
	if (!went_well(done >= 0, "read"))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = w->buffer + (size_t)i * SECTOR;

		if (sector_holds(at, first + i, w->expected[first + i]))
			continue;
		fprintf(stderr, "WRONG READ: sector %lu (of %lu + %u): expected %lu%s\n",
			first + i, first, count, w->expected[first + i] & ~ZERO_FLAG,
			w->expected[first + i] & ZERO_FLAG ? " zeros" : "");
		describe_sector(at, first + i);
		atomic_store(&found_wrong, true);
		return false;
	}
	return true;
}

/*
 * Per mille of the operations, by seed. With many syncs nearly everything has
 * to be there after a crash; with few, the order of what is there is tested.
 */
static const struct mix {
	unsigned reads, syncs, dsync_writes, zeros;
} mixes[] = {
	{ 150, 70, 80, 40 },
	{ 100, 4, 0, 40 },
	{ 100, 0, 8, 40 },
	{ 50, 1, 0, 60 },
};

static struct mix mix_of_run(void)
{
	return mixes[run_seed % (sizeof(mixes) / sizeof(*mixes))];
}

static void choose_moment_of_death(void)
{
	struct mix mix = mix_of_run();
	uint64_t state = run_seed;

	syncs_to_live = 1 + (int)(next_random(&state) %
				  (1 + 2 * (mix.syncs + mix.dsync_writes)));
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct mix mix = mix_of_run();

	while (!atomic_load(&server_died) && !atomic_load(&found_wrong) &&
	       atomic_load(&book->threads[w->thread].logged) < LOG_MAX) {
		unsigned what = next_random(&w->random) % 1000;
		bool fine;

		if (what < mix.reads)
			fine = do_read(w);
		else if ((what -= mix.reads) < mix.syncs)
			fine = do_sync();
		else if ((what -= mix.syncs) < mix.dsync_writes)
			fine = do_write(w, false, true);
		else
			fine = do_write(w, what - mix.dsync_writes < mix.zeros, false);
		if (!fine)
			break;
	}
	return NULL;
}

static int write_until_death(void)
{
	pthread_t ids[THREADS_MAX];
	struct writer writers[THREADS_MAX];
	uint64_t *expected = malloc(book->size_sectors * 8);

	if (!expected)
		die("malloc");
	memcpy(expected, base_values, book->size_sectors * 8);
	for (unsigned t = 0; t < book->thread_count; t++) {
		writers[t] = (struct writer){ t, run_seed * 1000003 + t, expected, NULL };
		if (posix_memalign((void **)&writers[t].buffer, 4096, LANE_SECTORS * SECTOR))
			die("posix_memalign");
		if (pthread_create(&ids[t], NULL, writer_main, &writers[t]))
			die("pthread_create");
	}
	for (unsigned t = 0; t < book->thread_count; t++)
		pthread_join(ids[t], NULL);
	for (unsigned t = 0; t < book->thread_count; t++)
		free(writers[t].buffer);
	free(expected);
	if (atomic_load(&found_wrong))
		return 1;
	return atomic_load(&server_died) ? 3 : 0;
}

/* --- verifying ---------------------------------------------------------------------- */

/* The writes of this round to one sector, oldest first: chain[start[s]..start[s+1]). */
static uint32_t *chain_start;
static struct write_entry **chain;
static uint64_t *found;		/* per sector: what it holds, ZERO_FLAG or a sequence */

static void build_chains(void)
{
	uint64_t n = book->size_sectors, total = 0;
	uint32_t *fill;

	chain_start = calloc(n + 2, 4);
	fill = calloc(n + 1, 4);
	if (!chain_start || !fill)
		die("calloc");
	for (unsigned t = 0; t < book->thread_count; t++)
		for (uint32_t i = 0; i < book->threads[t].logged; i++)
			for (uint32_t k = 0; k < log_of(t)[i].sector_count; k++)
				chain_start[log_of(t)[i].first_sector + k + 1]++;
	for (uint64_t s = 0; s < n; s++)
		chain_start[s + 1] += chain_start[s];
	total = chain_start[n];
	chain = calloc(total + 1, sizeof(*chain));
	if (!chain)
		die("calloc");
	for (unsigned t = 0; t < book->thread_count; t++)
		for (uint32_t i = 0; i < book->threads[t].logged; i++) {
			struct write_entry *e = &log_of(t)[i];

			for (uint32_t k = 0; k < e->sector_count; k++) {
				uint32_t s = e->first_sector + k;

				chain[chain_start[s] + fill[s]++] = e;
			}
		}
	free(fill);
}

/* Number of values a sector may have had: the base is value 0. */
static uint32_t value_count(uint64_t sector)
{
	return 1 + chain_start[sector + 1] - chain_start[sector];
}

static uint64_t value_at(uint64_t sector, uint32_t index)
{
	struct write_entry *e;

	if (index == 0)
		return base_values[sector];
	e = chain[chain_start[sector] + index - 1];
	return e->is_zero ? ZERO_FLAG : e->sequence;
}

static int report(const char *what, uint64_t sector, const uint8_t *at, uint32_t floor_index)
{
	static int reports;
	uint32_t n = value_count(sector);

	if (++reports > 10)
		return 1;
	fprintf(stderr, "%s: sector %lu (byte %lu), thread %u\n", what, sector,
		sector * SECTOR, owner_of(sector));
	if (at)
		describe_sector(at, sector);
	else
		fprintf(stderr, "    found %lu%s\n", found[sector] & ~ZERO_FLAG,
			found[sector] & ZERO_FLAG ? " zeros" : "");
	for (uint32_t i = 0; i < n; i++)
		fprintf(stderr, "    %s value %u: %lu%s\n", i < floor_index ? "lost " : "legal",
			i, value_at(sector, i) & ~ZERO_FLAG,
			value_at(sector, i) & ZERO_FLAG ? " zeros" : "");
	return 1;
}

/* Reads the whole file and recognises each sector's value. */
static int read_found(int fd)
{
	uint8_t *buffer = NULL;
	int wrong = 0;

	found = calloc(book->size_sectors, 8);
	if (!found || posix_memalign((void **)&buffer, 4096, LANE_SECTORS * SECTOR))
		die("memory");
	for (uint64_t s = 0; s < book->size_sectors; s += LANE_SECTORS) {
		if (pread(fd, buffer, LANE_SECTORS * SECTOR, (off_t)(s * SECTOR)) !=
		    (ssize_t)(LANE_SECTORS * SECTOR))
			die("read");
		for (uint64_t k = 0; k < LANE_SECTORS; k++) {
			const uint8_t *at = buffer + k * SECTOR;
			struct stamp stamp;
			uint64_t value;

			memcpy(&stamp, at, sizeof(stamp));
			value = stamp.magic == STAMP_MAGIC ? stamp.sequence : ZERO_FLAG;
			if (!sector_holds(at, s + k, value))
				wrong |= report("GARBAGE", s + k, at, 0);
			found[s + k] = value;
		}
	}
	free(buffer);
	return wrong;
}

/* The oldest value from `from` on that equals what was found; -1: none. */
static int64_t find_value(uint64_t sector, uint32_t from)
{
	uint32_t n = value_count(sector);

	for (uint32_t i = from; i < n; i++)
		if (value_at(sector, i) == found[sector])
			return i;
	return -1;
}

/* Entries [0, limit[t]) of each thread must be there. */
static uint32_t floor_index_of(uint64_t sector, const uint32_t limit[THREADS_MAX])
{
	unsigned t = owner_of(sector);
	uint32_t index = 0;

	for (uint32_t i = 1; i < value_count(sector); i++)
		if (chain[chain_start[sector] + i - 1] < log_of(t) + limit[t])
			index = i;
	return index;
}

static int check_floor(const char *what, const uint32_t limit[THREADS_MAX])
{
	int wrong = 0;

	for (uint64_t s = 0; s < book->size_sectors; s++) {
		uint32_t floor_index = floor_index_of(s, limit);

		if (find_value(s, floor_index) < 0)
			wrong |= report(what, s, NULL, floor_index);
	}
	return wrong;
}

/* The values of a sector from the one on that this write put there; 0: none. */
static uint32_t index_of_write(uint64_t sector, const struct write_entry *e)
{
	for (uint32_t i = 1; i < value_count(sector); i++)
		if (chain[chain_start[sector] + i - 1] == e)
			return i;
	return 0;
}

/* A write is there with all it has in a block of 4096 bytes, or not at all. */
static int check_whole_blocks(void)
{
	int wrong = 0;

	for (uint64_t s = 0; s < book->size_sectors; s++) {
		int64_t value = find_value(s, 0);
		const struct write_entry *e;

		if (value <= 0 || (found[s] & ZERO_FLAG))
			continue;
		e = chain[chain_start[s] + value - 1];
		for (uint64_t k = s / 8 * 8; k < s / 8 * 8 + 8; k++) {
			uint32_t index = index_of_write(k, e);

			if (index && find_value(k, index) < 0)
				wrong |= report("TORN (part of the block is there)", k, NULL,
						index);
		}
	}
	return wrong;
}

/* The latest moment at which a write was issued of which something is there. */
static uint64_t newest_issue_found(const uint32_t limit[THREADS_MAX])
{
	uint64_t newest = 0;

	for (uint64_t s = 0; s < book->size_sectors; s++) {
		int64_t i = find_value(s, floor_index_of(s, limit));

		if (i > 0 && chain[chain_start[s] + i - 1]->issued_at > newest)
			newest = chain[chain_start[s] + i - 1]->issued_at;
	}
	return newest;
}

enum what { VERIFY, CHECK, SYNCED };

static int check_all(enum what what)
{
	uint32_t synced[THREADS_MAX], before[THREADS_MAX], writes = 0, durable = 0;
	uint64_t newest;
	int wrong;

	for (unsigned t = 0; t < book->thread_count; t++) {
		synced[t] = what == CHECK ? book->threads[t].acknowledged :
					    book->threads[t].synced;
		writes += book->threads[t].logged;
		durable += synced[t];
	}
	wrong = check_floor("LOST (synced)", synced);
	newest = newest_issue_found(synced);
	for (unsigned t = 0; t < book->thread_count; t++) {
		before[t] = synced[t];
		for (uint32_t i = synced[t]; i < book->threads[t].logged; i++)
			if (log_of(t)[i].acknowledged_at &&
			    log_of(t)[i].acknowledged_at < newest)
				before[t] = i + 1;
	}
	if (what != SYNCED) {
		wrong |= check_floor("NOT A PREFIX (a later write is there)", before);
		wrong |= check_whole_blocks();
	}
	printf("round %u: %u writes, %u of them had to be there: %s\n", book->rounds, writes,
	       durable, wrong ? "WRONG" : "all is well");
	return wrong;
}

static void begin_next_round(void)
{
	memcpy(base_values, found, book->size_sectors * 8);
	for (unsigned t = 0; t < book->thread_count; t++) {
		book->threads[t].logged = 0;
		book->threads[t].acknowledged = 0;
		book->threads[t].synced = 0;
	}
	book->rounds++;
}

static int verify(const char *file, enum what what)
{
	int fd = open(file, O_RDONLY);
	int wrong;

	if (fd < 0)
		die(file);
	build_chains();
	wrong = read_found(fd);
	wrong |= check_all(what);
	if (!wrong && what == VERIFY)
		begin_next_round();
	close(fd);
	return wrong;
}

static int main_verify(char **argv)
{
	static const char *const names[] = { "verify", "check", "synced" };

	for (unsigned i = VERIFY; i <= SYNCED; i++) {
		if (strcmp(argv[1], names[i]) == 0) {
			open_book(argv[3]);
			return verify(argv[2], (enum what)i);
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	int status;

	if ((argc == 7 || argc == 8) && strcmp(argv[1], "write") == 0) {
		run_seed = strtoull(argv[6], NULL, 0);
		if (argc == 8)
			victim = (pid_t)strtol(argv[7], NULL, 10);
		choose_moment_of_death();
		if (access(argv[3], F_OK) == 0)
			open_book(argv[3]);
		else
			create_book(argv[3], strtoull(argv[4], NULL, 0) / SECTOR,
				    (unsigned)strtoul(argv[5], NULL, 0));
		file_fd = open(argv[2], O_RDWR);
		dsync_fd = open(argv[2], O_RDWR | O_DSYNC);
		if (file_fd < 0 || dsync_fd < 0)
			die(argv[2]);
		return write_until_death();
	}
	status = argc == 4 ? main_verify(argv) : -1;
	if (status >= 0)
		return status;
	fprintf(stderr, "usage: %s write FILE BOOK SIZE THREADS SEED [PID]\n"
			"       %s verify|check|synced FILE BOOK\n", argv[0], argv[0]);
	return 2;
}
