/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The remap IRQ: a virtual VFIO interrupt by which a vendor driver asks user
 * space to query regions of a device again and to remap them.
 *
 * A driver sometimes has to see the accesses that user space makes through a
 * mapping, typically to track a device's state while the device is migrated. It
 * then forbids mappings of a region, or of a part of it (traps it), and later
 * allows them again (untraps it). VFIO region info describes what may be mapped,
 * but user space has to query it. This interrupt requests the query.
 *
 * Terms: the driver is the vendor driver of a VFIO device. The user is the
 * process that has enabled this IRQ. A region is named by its VFIO region index:
 * BARs and device-specific regions alike, on any bus.
 *
 *
 * Discovery
 * ---------
 * VFIO_DEVICE_GET_INFO reports more IRQ indexes than the bus defines (for PCI,
 * more than VFIO_PCI_NUM_IRQS). The user calls VFIO_DEVICE_GET_IRQ_INFO for
 * each index above the bus's own and looks for a capability chain:
 *
 *   - VFIO_IRQ_INFO_FLAG_CAPS is set in flags, and cap_offset, which follows
 *     count in the structure, is the offset of the first capability from the
 *     start of the structure. All offsets are multiples of 8; 0 ends the chain.
 *   - If argsz is too small for the chain, the driver sets argsz to the size that
 *     is needed, and cap_offset, if argsz covers it, to 0; the call succeeds. A
 *     user without support for chains passes 16 and gets the rest of the answer.
 *     The size that is needed may differ at the next call.
 *   - struct remap_irq_info_cap_type identifies the IRQ. The remap IRQ has
 *     type REMAP_IRQ_TYPE and one of the subtypes below. Compare both: other
 *     proposals use the same type.
 *   - struct remap_irq_info_cap_regions names the regions that may be signalled:
 *     bit n of mask is region base + n. A user that cannot remap one of them
 *     does not enable the IRQ.
 *
 * More than 64 regions: the device offers one IRQ index for each 64, each with
 * its own base. They are enabled, signalled and acked independently; the base
 * is a multiple of 64.
 *
 * The flags of the IRQ: EVENTFD and NORESIZE always; with vectors MASKABLE and
 * AUTOMASKED too.
 *
 *
 * Two encodings
 * -------------
 * REMAP_IRQ_SUBTYPE_BITMAP. The IRQ has one sub-index, 0. To signal a set of
 * regions the driver adds a bitmap, bit n for region base + n, to the counter
 * of its eventfd. Several bits may be set. The user's read(2) returns the
 * bitmap. A counter adds and does not OR: bit 0 added twice reads as bit 1.
 * Therefore the driver never signals before the last signal is acked; regions
 * that become due meanwhile are collected and signalled after the ack. Needs a
 * kernel whose eventfd_signal() has a count (before v6.8). The eventfd must
 * not be a semaphore.
 *
 * REMAP_IRQ_SUBTYPE_VECTORS. Sub-index n stands for region base + n; count is
 * the highest bit of mask plus one. Sub-indexes whose bit is not in mask are
 * never signalled and need no eventfd. To signal a region the driver signals
 * the eventfd of its sub-index; the value of the counter has no meaning. A signal
 * masks the sub-index until user space unmasks it; a further change meanwhile is
 * signalled after the unmask. Several regions are several
 * eventfds, signalled one after the other.
 *
 *
 * Enable
 * ------
 * VFIO_DEVICE_SET_IRQS with DATA_EVENTFD | ACTION_TRIGGER: for the bitmap start
 * 0, count 1; for vectors any range, -1 where there is no eventfd. Enabling is
 * the handshake: the user commits itself to remap. The process that enables the
 * IRQ is the user from then on; another process that is to answer in its place
 * enables it again. The IRQ counts as enabled if every region that a
 * state change would trap has its eventfd and the user lives.
 *
 * Disable: DATA_NONE | ACTION_TRIGGER with count 0, or -1 for the eventfd. The
 * last close(2) of an eventfd disables its sub-index. Setting an eventfd where
 * there was one disables and enables: the driver does not wait for acks of
 * earlier signals any more. DATA_NONE and DATA_BOOL with ACTION_TRIGGER and a count are
 * refused (EINVAL): the user does not signal itself.
 *
 *
 * Trigger, requery, remap
 * -----------------------
 * The driver first changes the answer of VFIO_DEVICE_GET_REGION_INFO and revokes
 * the mappings, then signals. A pointer into a revoked mapping faults
 * (SIGBUS); it does not bypass the driver. Reads and writes of the region
 * through the device file work all the time.
 *
 * For each region that a trigger names, the user
 *
 *   1. queries VFIO_DEVICE_GET_REGION_INFO again;
 *   2. compares its mappings with VFIO_REGION_INFO_FLAG_MMAP and with the areas
 *      of VFIO_REGION_INFO_CAP_SPARSE_MMAP. Without the flag nothing may be
 *      mapped, even if the capability is still there; a driver should leave it
 *      out. With the flag and without the capability all of the region may be
 *      mapped;
 *   3. unmaps what may no longer be mapped. Areas that stay may keep their
 *      mapping: the driver revokes trapped pages only;
 *   4. maps what may newly be mapped, or uses read and write where it cannot;
 *   5. acks, and not before 3.
 *
 * Only what may be mapped changes; a region keeps its size and its offset. A
 * region that is named and has not changed is legal and needs the ack alone; a
 * driver should not name it, since that costs a query. The driver does not
 * signal a region again before the ack of its last signal. Mappings of the
 * region for DMA (peer to peer) are mappings too. mmap(2) of a page that is
 * trapped fails with EBUSY.
 *
 *
 * Ack
 * ---
 * Bitmap: a write(2) to the same eventfd, of 0 or of 1. It acks all that is
 * outstanding. Prefer 0: it wakes the driver and does not change the counter,
 * while a 1 makes the eventfd readable to its own writer, as if region base
 * were signalled, and adds to a bitmap that the driver may be signalling. The
 * driver watches the eventfd's wait queue and never drains the counter; a
 * read(2) is not an ack.
 *
 * Vectors: VFIO_DEVICE_SET_IRQS with ACTION_UNMASK and DATA_NONE or DATA_BOOL
 * on the sub-index; or any write(2) to an eventfd that was set for it with
 * DATA_EVENTFD | ACTION_UNMASK.
 *
 * An ack when nothing is outstanding is ignored.
 *
 *
 * State changes that wait
 * -----------------------
 * A change of the migration state that traps regions (entering PRE_COPY, or
 * STOP_COPY where it was not passed; in the legacy interface, setting _SAVING)
 * traps, signals, and returns when every region that it signalled is acked and
 * no mapping of a trapped page is alive in any process. The user has to answer
 * in another thread than the one that changes the state. All calls that an answer
 * needs work meanwhile: region and IRQ info, SET_IRQS, mmap, munmap, region reads
 * and writes, and the query of the current state.
 *
 * A change that untraps (to RUNNING or STOP) signals and does not wait.
 *
 * Refusal: while the IRQ is not enabled, the change fails with ENODEV and has no
 * effect. A driver that does not depend on it may instead revoke the mappings,
 * leave region info unchanged, and handle the page faults.
 *
 * Timeout: the wait is bounded by the driver. The change fails with
 * ETIMEDOUT, the regions are untrapped, and the old state stays in force. The
 * regions are signalled again, after the outstanding ack, since a late user may
 * have unmapped them.
 *
 * Killed: a fatal signal to the thread that waits ends the wait (EINTR); the
 * same holds as for the timeout.
 *
 * Death of the user: when during a wait the user exits, closes an eventfd for
 * good, or disables the IRQ, or when the device is reset, no ack will come. The
 * wait ends at once, the change fails with ECANCELED, the same holds as for the
 * timeout.
 *
 * Closing the device or resetting it ends the migration and every trap.
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
