// SPDX-License-Identifier: GPL-2.0
/* Capability chains: built, copied to user space, malformed by faults. */
#include <linux/uaccess.h>

#include "remap_ref.h"

void *rr_chain_add(struct rr_chain *c, size_t size, u16 id, u16 version)
{
	struct vfio_info_cap_header *header;

	size = ALIGN(size, sizeof(u64));
	if (WARN_ON_ONCE(c->size + size > sizeof(c->buf)))
		return NULL;
	header = memset(c->buf + c->size, 0, size);
	header->id = id;
	header->version = version;
	if (c->size)
		((struct vfio_info_cap_header *)(c->buf + c->last))->next = c->size;
	c->last = c->size;
	c->size += size;
	return header;
}

/* Offsets from the start of the chain become those from the structure's. */
static void rr_chain_shift(struct rr_chain *c, u32 header)
{
	struct vfio_info_cap_header *cap = (void *)c->buf;

	while (cap->next) {
		u32 next = cap->next;

		cap->next += header;
		cap = (void *)c->buf + next;
	}
}

static void rr_chain_spoil(struct rr_device *rd, struct rr_chain *c, u32 header,
			   long target, u32 argsz)
{
	struct vfio_info_cap_header *last = (void *)(c->buf + c->last);

	if (rr_fault_take(rd, RR_F_CHAIN_LOOP, target, NULL))
		last->next = header;
	else if (rr_fault_take(rd, RR_F_CHAIN_OUTSIDE, target, NULL))
		last->next = ALIGN(argsz, 8) + 4096;
	else if (rr_fault_take(rd, RR_F_CHAIN_UNALIGNED, target, NULL))
		last->next = header + 3;
}

/*
 * Write the chain behind a structure of header bytes at base, if *argsz has
 * room for it; otherwise set *argsz to the size that is needed.
 */
int rr_chain_reply(struct rr_device *rd, struct rr_chain *c, void __user *base,
		   u32 header, long target, u32 *argsz, u32 *cap_offset)
{
	u32 needed = header + c->size;
	u32 copy = c->size;

	*cap_offset = 0;
	if (rr_fault_armed(rd, RR_F_CHAIN_TRUNCATED, target)) {
		needed -= 8;
		copy -= 8;
	}
	if (*argsz >= needed && rr_fault_take(rd, RR_F_ARGSZ_GROW, target, NULL))
		needed = *argsz + 16;
	if (*argsz < needed) {
		*argsz = needed;
		return 0;
	}
	if (copy != c->size) {
		rr_fault_take(rd, RR_F_CHAIN_TRUNCATED, target, NULL);
		*argsz = needed;
	}

	rr_chain_shift(c, header);
	rr_chain_spoil(rd, c, header, target, *argsz);
	if (copy_to_user(base + header, c->buf, copy))
		return -EFAULT;
	*cap_offset = header;
	return 0;
}
