// SPDX-License-Identifier: GPL-2.0
/* Regions: trapped ones, GET_REGION_INFO, the device-specific region. */
#include <linux/ptrace.h>
#include <linux/uaccess.h>
#ifdef REMAP_HAVE_REGION_INFO_CAPS
#include <asm/syscall.h>
#endif

#include "remap_ref.h"

static ssize_t rr_dev_region_rw(struct vfio_pci_core_device *core,
				char __user *buf, size_t count, loff_t *ppos,
				bool iswrite)
{
	struct rr_device *rd = rr_from_core(core);
	unsigned int index = VFIO_PCI_OFFSET_TO_INDEX((u64)*ppos);
	u64 pos = *ppos & VFIO_PCI_OFFSET_MASK, size = rr_region_size(rd, index);
	u8 *memory = rr_region_memory(rd, index);

	if (pos >= size)
		return -EINVAL;
	count = min_t(size_t, count, size - pos);
	if (iswrite ? copy_from_user(memory + pos, buf, count) :
		      copy_to_user(buf, memory + pos, count))
		return -EFAULT;
	*ppos += count;
	return count;
}

static void rr_dev_region_release(struct vfio_pci_core_device *core,
				  struct vfio_pci_region *region)
{
}

static const struct vfio_pci_regops rr_dev_region_ops = {
	.rw		= rr_dev_region_rw,
	.release	= rr_dev_region_release,
};

static bool rr_is_dev_region(unsigned int index)
{
	return index >= RR_DEV_REGION && index < RR_DEV_REGION + rr_devregions;
}

int rr_region_setup(struct rr_device *rd)
{
	unsigned int i;
	int ret;

	memset(rd->state_mem, 0, RR_STATE_SIZE);
	for (i = 0; i < rr_devregions; i++) {
		ret = vfio_pci_core_register_dev_region(&rd->core, RR_REGION_TYPE,
				RR_REGION_SUBTYPE, &rr_dev_region_ops,
				rr_region_size(rd, RR_DEV_REGION + i),
				VFIO_REGION_INFO_FLAG_READ |
				VFIO_REGION_INFO_FLAG_WRITE |
				VFIO_REGION_INFO_FLAG_MMAP, NULL);
		if (ret)
			return ret;
	}
	return rr_mig_v1 ? rr_v1_register(rd) : 0;
}

u64 rr_region_size(struct rr_device *rd, unsigned int index)
{
	if (index < VFIO_PCI_ROM_REGION_INDEX)
		return pci_resource_len(rd->core.pdev, index);
	return index == RR_DEV_REGION ? RR_STATE_SIZE : RR_EXTRA_SIZE;
}

/* The kernel memory of a device-specific region. */
u8 *rr_region_memory(struct rr_device *rd, unsigned int index)
{
	if (index == RR_DEV_REGION)
		return rd->state_mem;
	return rd->extra_mem + (index - RR_DEV_REGION - 1) * RR_EXTRA_SIZE;
}

/* Whether a set has a region. The set may change meanwhile. */
bool rr_in(const rr_set *set, unsigned int index)
{
	const u64 *words = (const u64 *)set;

	return READ_ONCE(words[index / 64]) & BIT_ULL(index % 64);
}

static unsigned long rr_region_pages(struct rr_device *rd, unsigned int index)
{
	return PAGE_ALIGN(rr_region_size(rd, index)) >> PAGE_SHIFT;
}

unsigned long rr_trap_page(struct rr_device *rd, unsigned int index)
{
	return rr_region_pages(rd, index) / 2;
}

/* Trim the parameters to the regions that user space can map. */
void rr_region_masks(struct rr_device *rd)
{
	unsigned int i;

	rd->mask = 0;
	for (i = 0; i < VFIO_PCI_ROM_REGION_INDEX; i++)
		if (rd->core.bar_mmap_supported[i] && rr_region_size(rd, i))
			rd->mask |= RR_BIT(i);
	for (i = 0; i < rr_devregions; i++)
		rd->mask |= RR_BIT(RR_DEV_REGION + i);

	rd->whole = rr_whole & rd->mask;
	rd->partial = rr_partial & rd->mask & ~rd->whole;
	for (i = 0; i < RR_MAX_REGIONS; i++) {
		/* A region of one page is trapped wholly. */
		if ((rd->partial & RR_BIT(i)) && rr_region_pages(rd, i) < 2) {
			rd->partial &= ~RR_BIT(i);
			rd->whole |= RR_BIT(i);
		}
	}
}

/* Areas around the trapped page, within size. */
static unsigned int rr_areas(struct rr_device *rd, unsigned int index, u64 size,
			     struct vfio_region_sparse_mmap_area *areas)
{
	u64 trap = (u64)rr_trap_page(rd, index) << PAGE_SHIFT;
	unsigned int n = 0;

	areas[n].offset = 0;
	areas[n++].size = min(trap, size);
	if (trap + PAGE_SIZE < size) {
		areas[n].offset = trap + PAGE_SIZE;
		areas[n].size = size - areas[n].offset;
		n++;
	}
	if (rr_fault_armed(rd, RR_F_AREA_BEYOND, index))
		areas[n - 1].size += size;
	if (rr_fault_armed(rd, RR_F_AREA_UNALIGNED, index))
		areas[n - 1].offset += 0x10;
	return n;
}

static int rr_add_sparse(struct rr_device *rd, struct rr_chain *c,
			 unsigned int index, u64 size)
{
	struct vfio_region_info_cap_sparse_mmap *cap;
	struct vfio_region_sparse_mmap_area areas[2] = {};
	unsigned int n;

	n = rr_areas(rd, index, size, areas);
	cap = rr_chain_add(c, struct_size(cap, areas, n),
			   VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1);
	if (!cap)
		return 0;
	cap->nr_areas = n;
	memcpy(cap->areas, areas, n * sizeof(areas[0]));
	return n;
}

static void rr_add_type(struct rr_chain *c)
{
	struct vfio_region_info_cap_type *cap;

	cap = rr_chain_add(c, sizeof(*cap), VFIO_REGION_INFO_CAP_TYPE, 1);
	if (cap) {
		cap->type = RR_REGION_TYPE;
		cap->subtype = RR_REGION_SUBTYPE;
	}
}

/* The current flags and areas of a region that may be signalled. */
static int rr_describe(struct rr_device *rd, struct vfio_region_info *info,
		       struct rr_chain *c, u64 *trapped)
{
	unsigned int index = info->index;
	rr_set bit = RR_BIT(index);
	bool resized, stale;
	int areas = 0;

	down_read(&rd->trap_lock);
	*trapped = !!(rd->trapped & bit);
	resized = !!(rd->resized & bit);
	stale = !!(rd->stale_sparse & bit);
	up_read(&rd->trap_lock);

	info->offset = VFIO_PCI_INDEX_TO_OFFSET(index);
	info->size = rr_region_size(rd, index);
	if (resized)
		info->size /= 2;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!*trapped || (rd->partial & bit))
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;

	if (rr_is_dev_region(index))
		rr_add_type(c);
	if ((info->flags & VFIO_REGION_INFO_FLAG_MMAP) && rd->core.pdev->msix_cap &&
	    index == rd->core.msix_bar)
		rr_chain_add(c, sizeof(struct vfio_info_cap_header),
			     VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1);
	if (*trapped && ((rd->partial & bit) || stale))
		areas = rr_add_sparse(rd, c, index, info->size);
	if (c->size)
		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	return areas;
}

/* GET_REGION_INFO with the chain behind the user's structure. */
static int rr_answer_region(struct rr_device *rd, struct vfio_region_info *info,
			    struct vfio_region_info __user *arg)
{
	struct rr_chain chain = {};
	u64 seq, trapped;
	u32 argsz;
	int areas, ret = 0;

	seq = rr_log_begin(rd, &(struct rr_event) {
		.kind = RR_EV_REQUERY, .v = { info->index },
	});
	areas = rr_describe(rd, info, &chain, &trapped);
	rr_log_fill(rd, seq, (rr_set[4]) { info->index, info->flags, trapped, areas });
	info->cap_offset = 0;
	if (chain.size) {
		argsz = info->argsz;
		ret = rr_chain_reply(rd, &chain, arg, sizeof(*info), info->index,
				     &argsz, &info->cap_offset);
		info->argsz = argsz;
		if (areas && info->cap_offset) {
			rr_fault_take(rd, RR_F_AREA_BEYOND, info->index, NULL);
			rr_fault_take(rd, RR_F_AREA_UNALIGNED, info->index, NULL);
		}
	}
	rr_log_end(rd, seq, ret);
	return ret;
}

static bool rr_region_ours(struct rr_device *rd, u32 index)
{
	return index < RR_MAX_REGIONS && rr_in(&rd->mask, index);
}

#ifdef REMAP_HAVE_REGION_INFO_CAPS

/*
 * The core copies the structure in and out, and would shift and copy a chain
 * too, but only a well-formed one. The faults need malformed ones, so all of our
 * chains are written here: the structure is the third argument of our ioctl.
 */
int rr_get_region_info_caps(struct vfio_device *vdev,
			    struct vfio_region_info *info,
			    struct vfio_info_cap *caps)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	unsigned long args[6];

	if (!rr_region_ours(rd, info->index))
		return vfio_pci_ioctl_get_region_info(vdev, info, caps);
	syscall_get_arguments(current, current_pt_regs(), args);
	return rr_answer_region(rd, info, (void __user *)args[2]);
}

#else

long rr_get_region_info(struct rr_device *rd, struct vfio_region_info __user *arg)
{
	size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	if (!rr_region_ours(rd, info.index))
		return vfio_pci_core_ioctl(&rd->core.vdev,
					   VFIO_DEVICE_GET_REGION_INFO,
					   (unsigned long)arg);
	ret = rr_answer_region(rd, &info, arg);
	if (!ret && copy_to_user(arg, &info, minsz))
		ret = -EFAULT;
	return ret;
}

#endif

void rr_count_access(struct rr_device *rd, loff_t pos, bool write)
{
	u64 index = VFIO_PCI_OFFSET_TO_INDEX((u64)pos);

	if (index >= RR_MAX_REGIONS)
		return;
	if (rr_in(&rd->trapped, index) || rr_in(&rd->limping, index))
		atomic64_inc(write ? &rd->writes[index] : &rd->reads[index]);
}
