/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every byte of format version 1 on the cache. man/wbfs-format.5 says the
 * same in prose; a test compares the two. Integers are little-endian and are
 * structs of bytes, so that host arithmetic on them does not compile.
 */
#ifndef WB_FORMAT_ONDISK_H
#define WB_FORMAT_ONDISK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { uint8_t byte[2]; } wb_le16;
typedef struct { uint8_t byte[4]; } wb_le32;
typedef struct { uint8_t byte[6]; } wb_le48;
typedef struct { uint8_t byte[8]; } wb_le64;

#define WB_FORMAT_VERSION 1
#define WB_SECTOR_BYTES 512u
#define WB_BLOCK_BYTES 4096u
#define WB_SECTORS_PER_BLOCK 8u
#define WB_MASK_FULL 0xffu

#define WB_SEGMENT_BYTES_MIN (64u << 10)
#define WB_SEGMENT_BYTES_MAX (4u << 20)
#define WB_SEGMENT_BYTES_DEFAULT (1u << 20)

#define WB_RECORD_BLOCKS_MAX 255u	/* data blocks of one record */
#define WB_RECORD_ENTRIES_MAX 330u	/* entries that fit a header */
#define WB_ADDRESS_MAX ((UINT64_C(1) << 48) - 1)
/* No sequence, segment id, epoch or generation is larger; the codecs refuse
 * it, so that arithmetic on numbers from a disk cannot wrap. */
#define WB_NUMBER_MAX (UINT64_C(1) << 62)

#define WB_SUPERBLOCK_COUNT 2u
#define WB_SUPERBLOCK_SPACING_BYTES (512u << 10)
#define WB_SUPERBLOCK_AREA_BYTES (1u << 20)
#define WB_CHECKPOINT_SLOT_BYTES 12u
#define WB_CHECKPOINT_EXTRA_BYTES (64u << 10)
#define WB_SUPERBLOCK_COUNTERS 64u
#define WB_SUPERBLOCK_BAD_PLACES 448u

/* Which of the life-time counters is what; the others are zero. */
enum {
	WB_COUNTER_SSD_WRITTEN_BYTES = 0,
	WB_COUNTER_WRITTEN_BYTES = 1,
	WB_COUNTER_READ_BYTES = 2,
	WB_COUNTER_BACKING_WRITTEN_BYTES = 3,
	WB_COUNTER_MOUNTS = 4,
};

#define WB_SUPERBLOCK_MAGIC "wbfsSUPR"	/* 8 bytes */
#define WB_RECORD_MAGIC "wbfsRECD"	/* 8 bytes */
#define WB_CHECKPOINT_MAGIC "wbfsCKPT"	/* 8 bytes */

/* compat: bits that a program may ignore; who writes clears those that it does not know */
#define WB_COMPAT_KNOWN UINT64_C(0)
/* ro_compat: bits that a program must know to write to the volume */
#define WB_RO_COMPAT_KNOWN UINT64_C(0)
/* incompat: bits that a program must know to use the cache at all */
#define WB_INCOMPAT_DETACHED (UINT64_C(1) << 0)	/* no volume any more */
#define WB_INCOMPAT_KNOWN WB_INCOMPAT_DETACHED

/* state_flags of the superblock */
#define WB_STATE_CLEAN (1u << 0)	/* clean stop: everything is durable */

/* Entry types. Below WB_ENTRY_EXTENT each entry has a data block. */
enum wb_entry_type {
	WB_ENTRY_VOID = 0,
	WB_ENTRY_DATA = 1,
	WB_ENTRY_CLEAN = 2,
	WB_ENTRY_EXTENT = 0x80,		/* the first type without a block */
	WB_ENTRY_DISCARD = 0x80,
	WB_ENTRY_BYPASS = 0x81,
	WB_ENTRY_BAD = 0x82,
};

/* What the cache knows of its backing, for noticing that it is another one or
 * was changed by somebody else. */
struct wb_backing_disk {
	uint8_t mark[16];		/*   0 the UUID that it is marked with */
	wb_le32 mark_kind;		/*  16 where the mark is */
	wb_le32 sample_kind;		/*  20 how `sample_crc` was made; 0: not at all */
	/* as they were at a clean stop, 0 where not known */
	wb_le64 bytes;			/*  24 */
	wb_le64 mtime_ns;		/*  32 last change, since 1970 */
	wb_le32 sample_crc;		/*  40 */
	uint8_t zero_44[4];		/*  44 */
	wb_le64 dirty_left;		/*  48 blocks and extents that it lacked */
	/* at any time */
	wb_le64 mark_epoch;		/*  56 the mark has this epoch or a later one */
	wb_le64 warm_sequence;		/*  64 clean copies in older records are stale */
	uint8_t zero_72[184];		/*  72 */
};

#define WB_BACKING_SAMPLE_CRC32C 1u	/* sample_kind: see wbfs-format(5) */

struct wb_superblock_disk {
	uint8_t magic[8];		/*    0 */
	wb_le32 crc;			/*    8 of all 4096 bytes, itself 0 */
	wb_le32 version;		/*   12 */
	wb_le64 compat;			/*   16 */
	wb_le64 ro_compat;		/*   24 */
	wb_le64 incompat;		/*   32 */
	uint8_t uuid[16];		/*   40 */
	wb_le32 block_size;		/*   56 */
	wb_le32 segment_size;		/*   60 */
	wb_le64 segment_count;		/*   64 */
	wb_le64 ring_offset;		/*   72 */
	wb_le64 checkpoint_offset;	/*   80 */
	wb_le64 checkpoint_bytes;	/*   88 */
	wb_le64 cache_bytes;		/*   96 */
	uint8_t zero_104[24];		/*  104 */
	wb_le64 generation;		/*  128 */
	wb_le64 epoch;			/*  136 */
	wb_le64 epoch_start;		/*  144 */
	wb_le64 cut_sequence;		/*  152 */
	wb_le64 cut_segment;		/*  160 */
	wb_le32 cut_crc;		/*  168 */
	wb_le32 state_flags;		/*  172 */
	wb_le64 tail_segment;		/*  176 */
	wb_le64 tail_sequence;		/*  184 */
	wb_le64 durable;		/*  192 */
	wb_le64 checkpoint_used;	/*  200 */
	wb_le32 checkpoint_crc;		/*  208 */
	wb_le32 bad_count;		/*  212 */
	wb_le64 backing_bytes;		/*  216 */
	uint8_t zero_224[32];		/*  224 */
	struct wb_backing_disk backing_identity;	/*  256 */
	uint8_t backing_path[1024];	/*  512 a hint, NUL-terminated */
	wb_le64 counters[WB_SUPERBLOCK_COUNTERS];	/* 1536 */
	wb_le32 bad_places[WB_SUPERBLOCK_BAD_PLACES];	/* 2048 */
	uint8_t zero_3840[256];		/* 3840 */
};

struct wb_entry_disk {
	wb_le48 address;		/* 0 block address on the image */
	uint8_t mask;			/* 6 bit 0 = first sector */
	uint8_t type;			/* 7 stored last: it makes the entry valid */
	wb_le32 crc_or_length;		/* 8 CRC of the block, or extent blocks */
};

struct wb_record_disk {
	uint8_t magic[8];		/*    0 */
	wb_le32 crc;			/*    8 of all 4096 bytes, itself 0 */
	wb_le32 prev;			/*   12 crc of the record before */
	uint8_t uuid[16];		/*   16 */
	wb_le64 sequence;		/*   32 */
	wb_le64 segment_id;		/*   40 */
	wb_le64 epoch;			/*   48 */
	wb_le64 epoch_start;		/*   56 */
	wb_le64 durable;		/*   64 */
	wb_le64 tail_segment;		/*   72 */
	wb_le64 tail_sequence;		/*   80 */
	wb_le16 block_offset;		/*   88 of this header, in its segment */
	wb_le16 block_count;		/*   90 data blocks that follow */
	wb_le16 entry_count;		/*   92 */
	wb_le16 entry_bytes;		/*   94 */
	wb_le32 flags;			/*   96 */
	uint8_t zero_100[28];		/*  100 */
	struct wb_entry_disk entries[WB_RECORD_ENTRIES_MAX];	/* 128 */
	uint8_t zero_4088[8];		/* 4088 */
};

/*
 * The checkpoint of a clean stop: this block, then runs, then for each segment of
 * them, in order of place, the segment and an entry for each of its other blocks,
 * then extents; zeros up to a multiple of 4096.
 */
struct wb_checkpoint_disk {
	uint8_t magic[8];		/*    0 */
	wb_le32 crc;			/*    8 of these 4096 bytes, itself 0 */
	uint8_t zero_12[4];		/*   12 */
	uint8_t uuid[16];		/*   16 */
	wb_le64 epoch;			/*   32 */
	wb_le64 last_sequence;		/*   40 */
	wb_le64 last_segment;		/*   48 */
	wb_le32 last_crc;		/*   56 */
	wb_le32 run_count;		/*   60 */
	wb_le64 tail_segment;		/*   64 */
	wb_le64 tail_sequence;		/*   72 */
	wb_le32 segment_count;		/*   80 in all runs */
	wb_le32 extent_count;		/*   84 */
	wb_le64 dirty_blocks;		/*   88 entries of type DATA */
	uint8_t zero_96[4000];		/*   96 */
};

/* Places next to each other that hold segments which matter. */
struct wb_checkpoint_run_disk {
	wb_le32 first_place;		/* 0 */
	wb_le32 place_count;		/* 4 */
};

/* In place of an entry of block 0, which is a header. */
struct wb_checkpoint_segment_disk {
	wb_le64 first_sequence;		/*  0 of the records in it */
	wb_le16 record_count;		/*  8 */
	uint8_t zero_10[2];		/* 10 */
};

struct wb_checkpoint_extent_disk {
	wb_le48 first;			/*  0 block address on the image */
	uint8_t type;			/*  6 DISCARD or BAD */
	uint8_t zero_7[1];		/*  7 */
	wb_le48 count;			/*  8 blocks */
	wb_le16 record;			/* 14 of its segment, from 0 */
	wb_le32 place;			/* 16 of that segment */
};

static_assert(sizeof(struct wb_superblock_disk) == WB_BLOCK_BYTES, "superblock");
static_assert(offsetof(struct wb_superblock_disk, uuid) == 40, "");
static_assert(offsetof(struct wb_superblock_disk, segment_count) == 64, "");
static_assert(offsetof(struct wb_superblock_disk, generation) == 128, "");
static_assert(offsetof(struct wb_superblock_disk, cut_sequence) == 152, "");
static_assert(offsetof(struct wb_superblock_disk, tail_segment) == 176, "");
static_assert(offsetof(struct wb_superblock_disk, checkpoint_used) == 200, "");
static_assert(offsetof(struct wb_superblock_disk, backing_bytes) == 216, "");
static_assert(offsetof(struct wb_superblock_disk, backing_identity) == 256, "");
static_assert(offsetof(struct wb_superblock_disk, backing_path) == 512, "");
static_assert(offsetof(struct wb_superblock_disk, counters) == 1536, "");
static_assert(offsetof(struct wb_superblock_disk, bad_places) == 2048, "");
static_assert(offsetof(struct wb_superblock_disk, zero_3840) == 3840, "");
static_assert(sizeof(struct wb_backing_disk) == 256, "backing");
static_assert(offsetof(struct wb_backing_disk, bytes) == 24, "");
static_assert(offsetof(struct wb_backing_disk, dirty_left) == 48, "");
static_assert(offsetof(struct wb_backing_disk, zero_72) == 72, "");
static_assert(sizeof(struct wb_entry_disk) == 12, "entry");
static_assert(sizeof(struct wb_record_disk) == WB_BLOCK_BYTES, "record");
static_assert(offsetof(struct wb_record_disk, sequence) == 32, "");
static_assert(offsetof(struct wb_record_disk, epoch) == 48, "");
static_assert(offsetof(struct wb_record_disk, durable) == 64, "");
static_assert(offsetof(struct wb_record_disk, block_offset) == 88, "");
static_assert(offsetof(struct wb_record_disk, flags) == 96, "");
static_assert(offsetof(struct wb_record_disk, entries) == 128, "");
static_assert(sizeof(struct wb_checkpoint_disk) == WB_BLOCK_BYTES, "checkpoint");
static_assert(offsetof(struct wb_checkpoint_disk, epoch) == 32, "");
static_assert(offsetof(struct wb_checkpoint_disk, tail_segment) == 64, "");
static_assert(offsetof(struct wb_checkpoint_disk, zero_96) == 96, "");
static_assert(sizeof(struct wb_checkpoint_run_disk) == 8, "checkpoint run");
static_assert(sizeof(struct wb_checkpoint_segment_disk) == sizeof(struct wb_entry_disk), "");
static_assert(sizeof(struct wb_checkpoint_extent_disk) == 20, "checkpoint extent");

#endif
