/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	make_corpus GOLDEN_DIRECTORY CORPUS_DIRECTORY
 *
 * Makes the seeds of the fuzz targets out of the golden images, and some texts.
 * Files that a fuzzer found, and that are kept, have names of their own.
 */
#include <stddef.h>
#include <string.h>

#include "format/endian.h"
#include "format/ondisk.h"
#include "support/golden.h"
#include "support/sparse.h"

static const struct {
	const char *name, *text;
} command_lines[] = {
	{ "format", "format\n--cache=/c\n--backing\n/b\n--size=1T\n--cache-size\n2G\n"
		    "--segment-size\n64K\n--no-zero\n--force" },
	{ "mount", "mount\n--cache\n/c\n--backing=/b\n-f\n-oram_buffer=16M,noatime,"
		   "allow_writeback=off,sync_interval_s=7,rw,_netdev,fsname=a\n/mnt" },
	{ "near", "mout\n--cach\n/c" },
	{ "help", "help\nmount" },
	{ "option_help", "status\n-h" },
	{ "version", "--version" },
	{ "dashes", "umount\n--\n-f" },
	{ "sizes", "9223372036854775807\n8388607T\n0\n1k\n12345678901234567890\n1.5G\n-1" },
}, controls[] = {
	{ "flush", "0flush\n" },
	{ "drain", "0\tdrain\n" },
	{ "verb_no", "0flush drain" },
	{ "set", "30off\n" },
	{ "set_wrong", "31 86401" },
	{ "show", "1/mnt/a \"path\"\\ of\ttext" },
	{ "read", "2{ \"state\" : \"running\", \"dirty_blocks\" : 7, \"a\" : true,"
		  " \"segments\" : { \"dirty_blocks\" : 8, \"state\" : \"x\" } }" },
	{ "read_odd", "2{ \"state\" : null, \"dirty_blocks\" : -1.5e9, \"cache\" : [ 1, {} ] }" },
}, configurations[] = {
	{ "two", "# the volumes\n\n[/mnt/a]\ncache = /ssd/a\nbacking=/hdd/a\n"
		 "options=noatime,ram_buffer=16M\nsync_interval_s = 7\n# the other\n[/mnt/b/]\n"
		 "cache=/ssd/b\nbacking=/hdd/b\nauto=off\nallow_other=on\nx-note=a;b\n" },
	{ "saved", "[/mnt/saved]\ncache=/ssd/other\nbacking=/hdd/other\nfsname=\\s\\t\\\\\n" },
	{ "wrong", "[/mnt/a]\ncahce=/ssd/a\nbacking=hdd\nallow_writeback=maybe\n[b]\ncache[de]=/c" },
	{ "broken", "cache=/ssd/a\n[/mnt/a\nbacking" },
};

/* Bytes of both superblocks and of record headers that no program writes,
 * with checksums that are right: laid over bypass_and_bad. */
#define SUPERBLOCK(field, value) \
	{ "superblock_" #field, 0, 0, offsetof(struct wb_superblock_disk, field), \
	  sizeof ((struct wb_superblock_disk *)0)->field, value }
#define HEADER(at, field, value) \
	{ "header_" #field, 1, at, offsetof(struct wb_record_disk, field), \
	  sizeof ((struct wb_record_disk *)0)->field, value }
#define ENTRY(at, i, field, value) \
	{ "entry_" #field, 1, at, offsetof(struct wb_record_disk, entries[i].field), \
	  sizeof ((struct wb_entry_disk *)0)->field, value }

static const struct {
	const char *name;
	unsigned is_in_ring;
	uint32_t block;
	size_t offset, bytes;
	uint8_t value;
} lies[] = {
	SUPERBLOCK(segment_size, 0xff), SUPERBLOCK(segment_count, 0xff),
	SUPERBLOCK(ring_offset, 0x10), SUPERBLOCK(cut_sequence, 0x11),
	SUPERBLOCK(cut_segment, 0x11), SUPERBLOCK(tail_sequence, 0x11),
	SUPERBLOCK(durable, 0x11), SUPERBLOCK(bad_count, 0xff), SUPERBLOCK(epoch, 0x3f),
	HEADER(11, sequence, 0x11), HEADER(11, segment_id, 0x11), HEADER(11, epoch, 0x3f),
	HEADER(11, durable, 0x01), HEADER(11, tail_segment, 0x01),
	HEADER(11, tail_sequence, 0x01), HEADER(11, block_count, 0xff),
	HEADER(11, entry_count, 0xff),
	ENTRY(11, 3, address, 0x10), ENTRY(11, 3, crc_or_length, 0xff),
	ENTRY(15, 1, mask, 0), ENTRY(11, 2, type, 0x77),
};

/* The same of the checkpoint of that image. */
#define HEAD(field, value) \
	{ "checkpoint_" #field, offsetof(struct wb_checkpoint_disk, field), \
	  sizeof ((struct wb_checkpoint_disk *)0)->field, value }
#define BODY(name, at, value) \
	{ "checkpoint_" name, sizeof(struct wb_checkpoint_disk) + (at), 1, value }
#define FIRST_SEGMENT sizeof(struct wb_checkpoint_run_disk)

static const struct {
	const char *name;
	size_t offset, bytes;
	uint8_t value;
} checkpoint_lies[] = {
	HEAD(last_sequence, 0x11), HEAD(last_segment, 0x11), HEAD(run_count, 0xff),
	HEAD(segment_count, 0xff), HEAD(extent_count, 0xff), HEAD(dirty_blocks, 0x11),
	BODY("run_first", 0, 2), BODY("run_count_1", 4, 3),
	BODY("first_sequence", FIRST_SEGMENT, 7), BODY("record_count", FIRST_SEGMENT + 8, 14),
	BODY("entry_address", FIRST_SEGMENT + 12, 1), BODY("entry_type", FIRST_SEGMENT + 12 + 7, 2),
	BODY("entry_mask", FIRST_SEGMENT + 12 + 6, 0),
};

static struct wb_sim sim;

static void write_seed(const char *corpus, const char *target, const char *name,
		       const char *suffix, const GByteArray *bytes)
{
	g_autofree char *directory = g_build_filename(corpus, target, NULL);
	g_autofree char *path = g_strconcat(directory, "/", name, suffix, NULL);
	g_autoptr(GError) error = NULL;

	g_mkdir_with_parents(directory, 0777);
	if (!g_file_set_contents(path, (char *)bytes->data, bytes->len, &error))
		g_error("%s", error->message);
}

static void write_block(const char *corpus, const char *target, const char *name,
			const char *suffix, uint8_t flags, const uint8_t *data, size_t bytes)
{
	g_autoptr(GByteArray) seed = g_byte_array_new();

	while (bytes > 0 && data[bytes - 1] == 0)
		bytes--;
	g_byte_array_append(seed, &flags, 1);
	g_byte_array_append(seed, data, (guint)bytes);
	write_seed(corpus, target, name, suffix, seed);
}

/* The disk as it is, and with flags that make damage plausible: see the target. */
static void write_image(const char *golden, const char *corpus, const char *name,
			const char *suffix, uint8_t flags)
{
	size_t bytes;
	g_autofree uint8_t *pieces = wb_golden_read_file(golden, name, ".cache", &bytes);
	g_autoptr(GByteArray) seed = g_byte_array_new();

	g_byte_array_append(seed, &flags, 1);
	g_byte_array_append(seed, pieces, (guint)bytes);
	write_seed(corpus, "image", name, suffix, seed);
}

static void write_checkpoint(const char *corpus, const char *name, const uint8_t *cache)
{
	const struct wb_superblock_disk *superblock = (const void *)cache;
	uint64_t used = wb_get_le64(superblock->checkpoint_used);

	if (used)
		write_block(corpus, "checkpoint", name, "", 3,
			    cache + wb_get_le64(superblock->checkpoint_offset), used);
}

static void make_from_golden(const char *golden, const char *corpus, const char *name)
{
	const uint8_t *cache;

	write_image(golden, corpus, name, "_raw", 0x10);
	write_image(golden, corpus, name, "_fixed", 0x6f);
	write_image(golden, corpus, name, "_repair", 0xd0);
	wb_golden_init(&sim);
	wb_golden_load(&sim, golden, name);
	cache = wb_sim_cache_bytes(&sim);
	write_block(corpus, "superblock", name, "", 3, cache, WB_BLOCK_BYTES);
	write_block(corpus, "record", name, "_0", 3,
		    cache + sim.geometry.ring_offset, WB_BLOCK_BYTES);
	write_block(corpus, "record", name, "_1", 3,
		    cache + sim.geometry.ring_offset + sim.geometry.segment_bytes,
		    WB_BLOCK_BYTES);
	write_checkpoint(corpus, name, cache);
	wb_sim_clear(&sim);
}

static void write_disk(const char *corpus, const char *prefix, const char *name,
		       const uint8_t *cache)
{
	g_autoptr(GByteArray) pieces = wb_sparse_pack(cache, sim.cache_disk.memory->size_bytes);
	uint8_t flags = 0x1f;

	g_byte_array_prepend(pieces, &flags, 1);
	write_seed(corpus, "image", prefix, name, pieces);
}

static void write_lie(const char *golden, const char *corpus, unsigned i)
{
	size_t at = lies[i].offset;
	uint8_t *cache = wb_sim_cache_bytes(&sim), *block;

	wb_golden_load(&sim, golden, "bypass_and_bad");
	if (lies[i].is_in_ring)
		at += sim.geometry.ring_offset + lies[i].block * WB_BLOCK_BYTES;
	memset(cache + at, lies[i].value, lies[i].bytes);
	if (!lies[i].is_in_ring)
		memset(cache + at + WB_SUPERBLOCK_SPACING_BYTES, lies[i].value, lies[i].bytes);
	write_disk(corpus, "lie_", lies[i].name, cache);
	block = cache + at - lies[i].offset;
	write_block(corpus, lies[i].is_in_ring ? "record" : "superblock", "lie_", lies[i].name, 3,
		    block, WB_BLOCK_BYTES);
	if (lies[i].is_in_ring)
		return;
	/* nothing else on the disk that could contradict */
	memset(cache + WB_BLOCK_BYTES, 0, sim.cache_disk.memory->size_bytes - WB_BLOCK_BYTES);
	write_disk(corpus, "alone_", lies[i].name, cache);
}

static void write_checkpoint_lie(const char *golden, const char *corpus, unsigned i)
{
	uint8_t *cache = wb_sim_cache_bytes(&sim);
	uint8_t *region = cache + sim.geometry.checkpoint_offset;

	wb_golden_load(&sim, golden, "checkpoint");
	memset(region + checkpoint_lies[i].offset, checkpoint_lies[i].value,
	       checkpoint_lies[i].bytes);
	write_disk(corpus, "lie_", checkpoint_lies[i].name, cache);
}

static void make_lies(const char *golden, const char *corpus)
{
	wb_golden_init(&sim);
	for (unsigned i = 0; i < G_N_ELEMENTS(checkpoint_lies); i++)
		write_checkpoint_lie(golden, corpus, i);
	for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++)
		write_lie(golden, corpus, i);
	wb_sim_clear(&sim);
}

static void write_text(const char *corpus, const char *target, const char *name,
		       const char *text)
{
	g_autoptr(GByteArray) seed = g_byte_array_new();

	g_byte_array_append(seed, (const uint8_t *)text, (guint)strlen(text));
	write_seed(corpus, target, name, "", seed);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (unsigned i = 0; wb_golden_names[i]; i++)
		make_from_golden(argv[1], argv[2], wb_golden_names[i]);
	make_lies(argv[1], argv[2]);
	for (unsigned i = 0; i < G_N_ELEMENTS(command_lines); i++)
		write_text(argv[2], "command_line", command_lines[i].name, command_lines[i].text);
	for (unsigned i = 0; i < G_N_ELEMENTS(controls); i++)
		write_text(argv[2], "control", controls[i].name, controls[i].text);
	for (unsigned i = 0; i < G_N_ELEMENTS(configurations); i++)
		write_text(argv[2], "configuration", configurations[i].name,
			   configurations[i].text);
	return 0;
}
