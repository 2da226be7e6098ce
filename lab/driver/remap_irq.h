/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The remap IRQ: a virtual VFIO interrupt by which a vendor driver asks user
 * space to query device regions again and to remap them.
 *
 * (The whole protocol is described in this header; see below.)
 */
#ifndef _UAPI_REMAP_IRQ_H
#define _UAPI_REMAP_IRQ_H

#include <linux/types.h>
#include <linux/vfio.h>

/* struct vfio_irq_info with a capability chain; mainline's struct ends after count. */
#define VFIO_IRQ_INFO_FLAG_CAPS		(1 << 4)
struct remap_irq_info {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	count;
	__u32	cap_offset;	/* from the start of this struct; 0 if none */
};

#define VFIO_IRQ_INFO_CAP_TYPE		3	/* version 1 */
struct remap_irq_info_cap_type {
	struct vfio_info_cap_header header;
	__u32	type;
	__u32	subtype;
};

#define REMAP_IRQ_TYPE			1
#define REMAP_IRQ_SUBTYPE_BITMAP	0	/* as in the RFC */
#define REMAP_IRQ_SUBTYPE_VECTORS	2

#define REMAP_IRQ_INFO_CAP_REGIONS	0x5242	/* version 1 */
struct remap_irq_info_cap_regions {
	struct vfio_info_cap_header header;
	__u32	base;		/* region index of bit 0 */
	__u32	reserved;	/* 0 */
	__u64	mask;		/* bit n: region base + n may be signalled */
};

#endif
