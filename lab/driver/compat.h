/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, each with its commit. Kbuild searches the headers
 * and defines REMAP_HAVE_*; no version is compared. A new difference gets a line
 * in Kbuild and a function here.
 */
#ifndef REMAP_COMPAT_H
#define REMAP_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

/*
 * Before 3652117f8548 ("eventfd: simplify eventfd_signal()"), v6.8, a kernel
 * caller chose the addend; since then it is always 1, and cannot carry
 * a bitmap.
 */
#ifdef REMAP_HAVE_EVENTFD_COUNT
static inline bool rr_eventfd_has_count(void)
{
	return true;
}

static inline void rr_eventfd_signal(struct eventfd_ctx *ctx, u64 addend)
{
	eventfd_signal(ctx, addend);
}
#else
static inline bool rr_eventfd_has_count(void)
{
	return false;
}

static inline void rr_eventfd_signal(struct eventfd_ctx *ctx, u64 addend)
{
	eventfd_signal(ctx);
}
#endif

/*
 * 908a1d775422 ("hrtimers: Introduce hrtimer_setup() to replace hrtimer_init()"),
 * v6.13; hrtimer_init() went away later.
 */
static inline void rr_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*function)(struct hrtimer *))
{
#ifdef REMAP_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = function;
#endif
}

/*
 * 4db52602a607 ("vfio: Extend the device migration protocol with PRE_COPY"),
 * v6.2, is visible in the uAPI itself: VFIO_MIGRATION_PRE_COPY.
 * 4e016f969529 ("vfio: Add an option to get migration data size"), v6.2, made
 * migration_get_data_size mandatory: REMAP_HAVE_MIG_DATA_SIZE.
 * a4d1f91db502 ("vfio-iommufd: Support iommufd for physical VFIO devices"),
 * v6.2, made the iommufd ops mandatory: REMAP_HAVE_IOMMUFD_OPS.
 * 86624ba3b522 ("vfio/pci: Do vf_token checks for VFIO_DEVICE_BIND_IOMMUFD"),
 * v6.17, calls match_token_uuid without a check for NULL:
 * REMAP_HAVE_MATCH_TOKEN_UUID.
 * 775f726a742a ("vfio: Add get_region_info_caps op"), v6.19, moved
 * GET_REGION_INFO out of the ioctl op: REMAP_HAVE_REGION_INFO_CAPS.
 */

/*
 * REMAP_HAVE_CORE_VMA_LIST: before aac6db75a9fc ("vfio/pci: Use
 * unmap_mapping_range()"), v6.10, vfio_pci_core populates a whole VMA at its
 * first fault, stores it in vma_list under vma_lock, and revokes by walking
 * that list. A driver that populates by itself has to be on that list, or a
 * reset would leave its pages mapped. The entry's type is private to the core,
 * which frees it with kfree(); this is its layout from v5.8 to v6.9.
 *
 * After that commit the device has an inode of its own, vm_pgoff stays the
 * offset in the device file, and the core's fault handlers can be called for a
 * single page.
 */
#ifdef REMAP_HAVE_CORE_VMA_LIST
struct rr_core_vma {
	struct vm_area_struct	*vma;
	struct list_head	vma_next;
};
#endif

/*
 * RR_DMA_LOGGING: iova_bitmap_set() does something. Since 8c9c727b6142 ("vfio:
 * Move iova_bitmap into iommufd"), v6.7, only with CONFIG_IOMMUFD_DRIVER.
 */
#if !defined(REMAP_IOVA_BITMAP_OPTIONAL) || IS_ENABLED(CONFIG_IOMMUFD_DRIVER)
#define RR_DMA_LOGGING
#endif

/* bc292ab00f6c ("mm: introduce vma->vm_flags wrapper functions"), v6.3. */
static inline void rr_vm_flags_set(struct vm_area_struct *vma,
				   unsigned long flags)
{
#ifdef REMAP_HAVE_CORE_VMA_LIST
	vma->vm_flags |= flags;
#else
	vm_flags_set(vma, flags);
#endif
}

#endif
