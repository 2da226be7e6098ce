// SPDX-License-Identifier: GPL-2.0
/*
 * DMA logging: which pages the device may have written. The driver does not see
 * the device's DMA: a device whose bus mastering is off does none, and one that
 * had it on may have written to every page that it can reach.
 */
#include <linux/iova_bitmap.h>
#include <linux/pci.h>

#include "remap_ref.h"

#ifdef RR_DMA_LOGGING

/* Record whether bus mastering is on, before it changes or is reported. */
void rr_dirty_note(struct rr_device *rd)
{
	u16 cmd;

	pci_read_config_word(rd->core.pdev, PCI_COMMAND, &cmd);
	if (cmd & PCI_COMMAND_MASTER)
		set_bit(0, &rd->mastered);
}

static int rr_dirty_start(struct vfio_device *vdev,
			  struct rb_root_cached *ranges, u32 nnodes,
			  u64 *page_size)
{
	struct rr_device *rd = rr_from_vfio(vdev);

	clear_bit(0, &rd->mastered);
	WRITE_ONCE(rd->dma_logging, true);
	return 0;
}

static int rr_dirty_stop(struct vfio_device *vdev)
{
	WRITE_ONCE(rr_from_vfio(vdev)->dma_logging, false);
	return 0;
}

/*
 * User space queries one range after the other, and the driver does not know
 * which were written: once bus mastering was on, every range is dirty until the
 * next start.
 */
static int rr_dirty_report(struct vfio_device *vdev, unsigned long iova,
			   unsigned long length, struct iova_bitmap *dirty)
{
	struct rr_device *rd = rr_from_vfio(vdev);

	if (!READ_ONCE(rd->dma_logging))
		return -EINVAL;
	rr_dirty_note(rd);
	if (test_bit(0, &rd->mastered))
		iova_bitmap_set(dirty, iova, length);
	return 0;
}

const struct vfio_log_ops rr_dirty_ops = {
	.log_start		= rr_dirty_start,
	.log_stop		= rr_dirty_stop,
	.log_read_and_clear	= rr_dirty_report,
};

#endif
