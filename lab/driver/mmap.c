// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of the regions that take part: made, copied, split, unmapped. Each
 * is on rd->maps for as long as it lives, because a state change may complete
 * only when no mapping of a trapped page is left.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "remap_ref.h"

#define RR_PGOFF_SHIFT	(VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT)

unsigned int rr_vma_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff >> RR_PGOFF_SHIFT;
}

unsigned long rr_vma_page(struct vm_area_struct *vma)
{
	return vma->vm_pgoff & ((1UL << RR_PGOFF_SHIFT) - 1);
}

static struct rr_device *rr_vma_device(struct vm_area_struct *vma)
{
	return rr_from_core(vma->vm_private_data);
}

static bool rr_is_bar(unsigned int index)
{
	return index < VFIO_PCI_ROM_REGION_INDEX;
}

static void rr_log_map(struct rr_device *rd, struct vm_area_struct *vma,
		       enum rr_kind kind, bool copy, int result)
{
	rr_log(rd, &(struct rr_event) {
		.kind = kind, .a = copy, .result = result,
		.v = { rr_vma_index(vma), rr_vma_page(vma), vma_pages(vma) },
	});
}

static void rr_map_add(struct rr_device *rd, struct vm_area_struct *vma,
		       struct rr_map *map)
{
	map->vma = vma;
	map->walked = 0;
	mutex_lock(&rd->maps_lock);
	list_add(&map->node, &rd->maps);
	mutex_unlock(&rd->maps_lock);
	atomic_inc(&rd->nmaps[rr_vma_index(vma)]);
}

/* fork(2) and partial munmap(2): a second VMA. It cannot fail. */
static void rr_vm_open(struct vm_area_struct *vma)
{
	struct rr_device *rd = rr_vma_device(vma);

	rr_map_add(rd, vma, kmalloc(sizeof(struct rr_map),
				    GFP_KERNEL | __GFP_NOFAIL));
	if (rr_is_bar(rr_vma_index(vma)) && rd->core_vm_ops->open)
		rd->core_vm_ops->open(vma);
	rr_log_map(rd, vma, RR_EV_MMAP, true, 0);
	rr_event(rd);
}

static void rr_vm_close(struct vm_area_struct *vma)
{
	struct rr_device *rd = rr_vma_device(vma);
	struct rr_map *map;

	if (rr_is_bar(rr_vma_index(vma)) && rd->core_vm_ops->close)
		rd->core_vm_ops->close(vma);
	rr_log_map(rd, vma, RR_EV_MUNMAP, false, 0);

	mutex_lock(&rd->maps_lock);
	list_for_each_entry(map, &rd->maps, node) {
		if (map->vma == vma) {
			list_del(&map->node);
			kfree(map);
			break;
		}
	}
	mutex_unlock(&rd->maps_lock);
	atomic_dec(&rd->nmaps[rr_vma_index(vma)]);
	rr_event(rd);
}

/* The page tables of a moved mapping would not be on the list. */
static int rr_vm_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static vm_fault_t rr_insert(struct rr_device *rd, struct vm_fault *vmf,
			    unsigned int order, unsigned long page)
{
	if (rr_is_bar(rr_vma_index(vmf->vma)))
		return rr_insert_bar(rd, vmf, order);
	if (order)
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      vmalloc_to_pfn(rr_region_memory(rd, rr_vma_index(vmf->vma)) +
					     (page << PAGE_SHIFT)));
}

static vm_fault_t rr_vm_fault_order(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct rr_device *rd = rr_vma_device(vma);
	unsigned int index = rr_vma_index(vma);
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long page = rr_vma_page(vma) + ((addr - vma->vm_start) >> PAGE_SHIFT);
	rr_set bit = RR_BIT(index);
	vm_fault_t ret;

	down_read(&rd->trap_lock);
	if (order && ((rd->trapped | rd->limping) & bit)) {
		ret = VM_FAULT_FALLBACK;
	} else if ((rd->trapped & bit) &&
		   ((rd->whole & bit) || page == rr_trap_page(rd, index))) {
		atomic64_inc(&rd->sigbus[index]);
		ret = VM_FAULT_SIGBUS;
	} else {
		if (rd->limping & bit)
			atomic64_inc(&rd->limp_faults[index]);
		ret = rr_insert(rd, vmf, order, page);
	}
	up_read(&rd->trap_lock);
	return ret;
}

static vm_fault_t rr_vm_fault(struct vm_fault *vmf)
{
	return rr_vm_fault_order(vmf, 0);
}

static const struct vm_operations_struct rr_vm_ops = {
	.open		= rr_vm_open,
	.close		= rr_vm_close,
	.mremap		= rr_vm_mremap,
	.fault		= rr_vm_fault,
#ifndef REMAP_HAVE_CORE_VMA_LIST
	.huge_fault	= rr_vm_fault_order,
#endif
};

static int rr_mmap_dev_region(struct rr_device *rd, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (rr_vma_page(vma) + vma_pages(vma) >
	    rr_region_size(rd, rr_vma_index(vma)) >> PAGE_SHIFT)
		return -EINVAL;
	vma->vm_private_data = &rd->core;
	rr_vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

static int rr_mmap_bar(struct rr_device *rd, struct vm_area_struct *vma)
{
	unsigned long pgoff = vma->vm_pgoff;
	int ret = vfio_pci_core_mmap(&rd->core.vdev, vma);

	if (ret)
		return ret;
	/* Old cores put a page frame number there; here it is the offset. */
	vma->vm_pgoff = pgoff;
	WRITE_ONCE(rd->core_vm_ops, vma->vm_ops);
	return 0;
}

/* Whether the VMA contains a page that is trapped now. */
static bool rr_vma_conflicts(struct rr_device *rd, struct vm_area_struct *vma)
{
	unsigned int index = rr_vma_index(vma);
	rr_set bit = RR_BIT(index);
	unsigned long page = rr_vma_page(vma), trap;

	if (!rr_in(&rd->trapped, index))
		return false;
	if (rd->whole & bit)
		return true;
	trap = rr_trap_page(rd, index);
	return trap >= page && trap < page + vma_pages(vma);
}

int rr_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	unsigned int index = rr_vma_index(vma);
	struct rr_map *map;
	int ret;

	if (index >= RR_MAX_REGIONS || !(rd->mask & RR_BIT(index)))
		return vfio_pci_core_mmap(vdev, vma);

	map = kmalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return -ENOMEM;

	/* Writes to the VMA's flags lock it, and faults take trap_lock inside. */
	ret = rr_is_bar(index) ? rr_mmap_bar(rd, vma) : rr_mmap_dev_region(rd, vma);
	if (ret)
		goto log;

	down_read(&rd->trap_lock);
	if (rr_vma_conflicts(rd, vma)) {
		ret = -EBUSY;
	} else {
		vma->vm_ops = &rr_vm_ops;
		rr_map_add(rd, vma, map);
	}
	up_read(&rd->trap_lock);
log:

	rr_log_map(rd, vma, RR_EV_MMAP, false, ret);
	if (ret)
		kfree(map);
	return ret;
}

static struct mm_struct *rr_maps_next_mm(struct rr_device *rd, u64 walk)
{
	struct rr_map *map;

	list_for_each_entry(map, &rd->maps, node) {
		if (map->walked == walk)
			continue;
		if (mmget_not_zero(map->vma->vm_mm))
			return map->vma->vm_mm;
		/* Its process is exiting: it does not fault any more, and close() follows. */
		map->walked = walk;
	}
	return NULL;
}

/*
 * Call fn for every mapping, under the mmap_lock of its process, until it
 * returns true. mmap_lock comes before maps_lock, so take the process from the
 * list, unlock the list, take mmap_lock, and look again.
 */
void rr_maps_walk(struct rr_device *rd,
		  bool (*fn)(struct rr_device *rd, struct vm_area_struct *vma,
			     void *data), void *data)
{
	struct mm_struct *mm;
	struct rr_map *map;
	bool stop = false;

	mutex_lock(&rd->walk_mutex);
	rd->walk++;
	while (!stop) {
		mutex_lock(&rd->maps_lock);
		mm = rr_maps_next_mm(rd, rd->walk);
		mutex_unlock(&rd->maps_lock);
		if (!mm)
			break;

		mmap_read_lock(mm);
		mutex_lock(&rd->maps_lock);
		list_for_each_entry(map, &rd->maps, node) {
			if (map->vma->vm_mm != mm || map->walked == rd->walk)
				continue;
			map->walked = rd->walk;
			stop = fn(rd, map->vma, data);
			if (stop)
				break;
		}
		mutex_unlock(&rd->maps_lock);
		mmap_read_unlock(mm);
		mmput(mm);
	}
	mutex_unlock(&rd->walk_mutex);
}

static bool rr_note_conflict(struct rr_device *rd, struct vm_area_struct *vma,
			     void *data)
{
	bool *conflict = data;

	*conflict = rr_vma_conflicts(rd, vma);
	return *conflict;
}

bool rr_maps_conflict(struct rr_device *rd)
{
	bool conflict = false;

	rr_maps_walk(rd, rr_note_conflict, &conflict);
	return conflict;
}
