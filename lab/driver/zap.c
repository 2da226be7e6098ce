// SPDX-License-Identifier: GPL-2.0
/*
 * Trapping: which pages may not be mapped any more, and how mappings are revoked.
 * First they are marked, with page faults and mmap locked out; every later fault
 * sees the mark. Then the pages that are already mapped are zapped, the way this
 * kernel's vfio_pci_core does it.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "remap_ref.h"

#ifdef REMAP_HAVE_CORE_VMA_LIST

static void rr_zap_pages(struct rr_device *rd, unsigned int index, bool whole)
{
}

static bool rr_zap_vma(struct rr_device *rd, struct vm_area_struct *vma,
		       void *data)
{
	unsigned int index = rr_vma_index(vma);
	unsigned long page = rr_vma_page(vma), trap = rr_trap_page(rd, index);
	rr_set regions = *(rr_set *)data;

	if (!(regions & RR_BIT(index)))
		return false;
	if (!(rd->partial & rd->trapped & RR_BIT(index)))
		zap_vma_ptes(vma, vma->vm_start, vma->vm_end - vma->vm_start);
	else if (trap >= page && trap < page + vma_pages(vma))
		zap_vma_ptes(vma, vma->vm_start + ((trap - page) << PAGE_SHIFT),
			     PAGE_SIZE);
	return false;
}

/* The device has no inode of its own: walk the processes. */
static void rr_zap_processes(struct rr_device *rd, rr_set regions)
{
	rr_maps_walk(rd, rr_zap_vma, &regions);
}

/* Enter the VMA into the core's list, so that the core's zaps find it. */
static int rr_add_to_core(struct vfio_pci_core_device *core,
			struct vm_area_struct *vma)
{
	struct rr_core_vma *entry;

	lockdep_assert_held(&core->vma_lock);
	list_for_each_entry(entry, &core->vma_list, vma_next)
		if (entry->vma == vma)
			return 0;
	entry = kmalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return -ENOMEM;
	entry->vma = vma;
	list_add(&entry->vma_next, &core->vma_list);
	return 0;
}

static bool rr_memory_enabled(struct vfio_pci_core_device *core)
{
	u16 cmd = le16_to_cpu(*(__le16 *)&core->vconfig[PCI_COMMAND]);

	return !core->pm_runtime_engaged &&
	       core->pdev->current_state < PCI_D3hot &&
	       (core->pdev->no_command_memory || (cmd & PCI_COMMAND_MEMORY));
}

/* The core would populate the whole VMA, including the trapped page. */
vm_fault_t rr_insert_bar(struct rr_device *rd, struct vm_fault *vmf,
			 unsigned int order)
{
	struct vfio_pci_core_device *core = &rd->core;
	struct vm_area_struct *vma = vmf->vma;
	unsigned int index = rr_vma_index(vma);
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long pfn = (pci_resource_start(core->pdev, index) >> PAGE_SHIFT) +
			    rr_vma_page(vma) + ((addr - vma->vm_start) >> PAGE_SHIFT);
	vm_fault_t ret;

	mutex_lock(&core->vma_lock);
	down_read(&core->memory_lock);
	if (!rr_memory_enabled(core))
		ret = VM_FAULT_SIGBUS;
	else if (rr_add_to_core(core, vma))
		ret = VM_FAULT_OOM;
	else
		ret = vmf_insert_pfn(vma, addr, pfn);
	up_read(&core->memory_lock);
	mutex_unlock(&core->vma_lock);
	return ret;
}

#else

static void rr_zap_pages(struct rr_device *rd, unsigned int index, bool whole)
{
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(index);
	loff_t len = PAGE_ALIGN(rr_region_size(rd, index));

	if (!whole) {
		start += (loff_t)rr_trap_page(rd, index) << PAGE_SHIFT;
		len = PAGE_SIZE;
	}
	unmap_mapping_range(rd->core.vdev.inode->i_mapping, start, len, true);
}

static void rr_zap_processes(struct rr_device *rd, rr_set regions)
{
}

vm_fault_t rr_insert_bar(struct rr_device *rd, struct vm_fault *vmf,
			 unsigned int order)
{
	const struct vm_operations_struct *ops = READ_ONCE(rd->core_vm_ops);

	if (!order)
		return ops->fault(vmf);
	return ops->huge_fault ? ops->huge_fault(vmf, order) : VM_FAULT_FALLBACK;
}

#endif

static enum rr_trap_mode rr_mode(struct rr_device *rd, rr_set bit, bool limp)
{
	if (limp)
		return RR_TRAP_LIMP;
	return rd->whole & bit ? RR_TRAP_WHOLE : RR_TRAP_PARTIAL;
}

void rr_trap(struct rr_device *rd, rr_set regions, bool limp)
{
	u64 *seq = rd->trap_seq;
	bool stale, resize;
	unsigned int i;

	lockdep_assert_held(&rd->irq_mutex);
	if (!regions)
		return;
	for (i = 0; i < RR_MAX_REGIONS; i++)
		if (regions & RR_BIT(i))
			seq[i] = rr_log_begin(rd, &(struct rr_event) {
				.kind = RR_EV_TRAP,
				.a = rr_mode(rd, RR_BIT(i), limp),
				.v = { i, atomic_read(&rd->nmaps[i]) },
			});
	stale = !limp && rr_fault_take(rd, RR_F_STALE_SPARSE, RR_F_ANY, NULL);
	resize = !limp && rr_fault_take(rd, RR_F_RESIZE, RR_F_ANY, NULL);

	down_write(&rd->trap_lock);
	if (limp)
		rd->limping |= regions;
	else
		rd->trapped |= regions;
	if (stale)
		rd->stale_sparse |= regions & rd->whole;
	if (resize)
		rd->resized |= regions;

	down_write(&rd->core.memory_lock);
	for (i = 0; i < RR_MAX_REGIONS; i++)
		if (regions & RR_BIT(i))
			rr_zap_pages(rd, i, limp || (rd->whole & RR_BIT(i)));
	up_write(&rd->core.memory_lock);
	up_write(&rd->trap_lock);

	rr_zap_processes(rd, regions);

	for (i = 0; i < RR_MAX_REGIONS; i++)
		if (regions & RR_BIT(i))
			rr_log_end(rd, seq[i], 0);
}

void rr_untrap(struct rr_device *rd, rr_set regions)
{
	unsigned int i;

	lockdep_assert_held(&rd->irq_mutex);
	for (i = 0; i < RR_MAX_REGIONS; i++)
		if (regions & (rd->trapped | rd->limping) & RR_BIT(i))
			rr_log(rd, &(struct rr_event) {
				.kind = RR_EV_UNTRAP,
				.a = rr_mode(rd, RR_BIT(i), !!(rd->limping & RR_BIT(i))),
				.v = { i },
			});

	down_write(&rd->trap_lock);
	rd->trapped &= ~regions;
	rd->limping &= ~regions;
	rd->stale_sparse &= ~regions;
	rd->resized &= ~regions;
	up_write(&rd->trap_lock);
}
