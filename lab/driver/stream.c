// SPDX-License-Identifier: GPL-2.0
/*
 * The device's state as a stream of records, the same for both migration
 * interfaces. The state is the memory behind the device-specific region, then
 * the registers of the parameter. A stream that was read while the device still
 * ran has a first record that the last one overrides.
 */
#include <linux/crc32.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "remap_ref.h"

int rr_stream_init(struct rr_stream *s)
{
	memset(s, 0, sizeof(*s));
	s->buf = vzalloc(RR_STREAM_MAX);
	return s->buf ? 0 : -ENOMEM;
}

void rr_stream_free(struct rr_stream *s)
{
	vfree(s->buf);
	s->buf = NULL;
}

void rr_stream_reset(struct rr_stream *s)
{
	s->len = 0;
	s->pos = 0;
	s->sequence = 0;
}

static u32 rr_stream_crc(const void *data, size_t len)
{
	return ~crc32_le(~0U, data, len);
}

static u32 rr_stream_device(struct rr_device *rd)
{
	return rd->core.pdev->vendor | (u32)rd->core.pdev->device << 16;
}

static size_t rr_state_size(void)
{
	return RR_STATE_SIZE + rr_registers_size();
}

size_t rr_record_size(void)
{
	return sizeof(struct rr_record) + rr_state_size();
}

int rr_stream_add(struct rr_device *rd, struct rr_stream *s, bool final)
{
	struct rr_record *rec = (void *)s->buf + s->len;
	void *state = rec + 1;
	int ret;

	if (WARN_ON_ONCE(s->len + rr_record_size() > RR_STREAM_MAX))
		return -ENOSPC;
	/* A snapshot: user space may be writing to the region meanwhile. */
	memcpy(state, rd->state_mem, RR_STATE_SIZE);
	ret = rr_registers_save(rd, state + RR_STATE_SIZE);
	if (ret)
		return ret;
	*rec = (struct rr_record) {
		.magic		= cpu_to_le64(RR_STREAM_MAGIC),
		.version	= cpu_to_le32(RR_STREAM_VERSION),
		.sequence	= cpu_to_le32(s->sequence++),
		.flags		= cpu_to_le32(final ? RR_STREAM_FINAL : 0),
		.device		= cpu_to_le32(rr_stream_device(rd)),
		.length		= cpu_to_le32(rr_state_size()),
		.crc		= cpu_to_le32(rr_stream_crc(state, rr_state_size())),
	};
	s->len += rr_record_size();
	return 0;
}

static int rr_record_check(struct rr_device *rd, const struct rr_record *rec,
			   u32 sequence)
{
	if (le64_to_cpu(rec->magic) != RR_STREAM_MAGIC ||
	    le32_to_cpu(rec->version) != RR_STREAM_VERSION ||
	    le32_to_cpu(rec->sequence) != sequence ||
	    le32_to_cpu(rec->flags) & ~RR_STREAM_FINAL ||
	    le32_to_cpu(rec->device) != rr_stream_device(rd) ||
	    le32_to_cpu(rec->length) != rr_state_size())
		return -EINVAL;
	if (le32_to_cpu(rec->crc) != rr_stream_crc(rec + 1, rr_state_size()))
		return -EIO;
	return 0;
}

/*
 * Verify a whole stream, and only then load its state. -EINVAL: no stream of this
 * device, or an incomplete one; -EIO: a checksum does not match, or the device is
 * in a low power state.
 */
int rr_stream_load(struct rr_device *rd, struct rr_stream *s)
{
	const struct rr_record *rec = NULL;
	u32 sequence = 0;
	size_t pos = 0;
	int ret;

	do {
		if (s->len - pos < rr_record_size())
			return -EINVAL;
		rec = (void *)s->buf + pos;
		ret = rr_record_check(rd, rec, sequence++);
		if (ret)
			return ret;
		pos += rr_record_size();
	} while (!(le32_to_cpu(rec->flags) & RR_STREAM_FINAL));
	if (pos != s->len)
		return -EINVAL;

	ret = rr_registers_load(rd, (const u8 *)(rec + 1) + RR_STATE_SIZE);
	if (!ret)
		memcpy(rd->state_mem, rec + 1, RR_STATE_SIZE);
	return ret;
}
