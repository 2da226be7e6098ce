// SPDX-License-Identifier: GPL-2.0
/* The module, its parameters, and the vfio_device_ops. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vmalloc.h>

#include "remap_ref.h"

static char *encoding = "vectors";
module_param(encoding, charp, 0444);
MODULE_PARM_DESC(encoding, "how regions are named: vectors (default) or bitmap");

static char *migration = "v2";
module_param(migration, charp, 0444);
MODULE_PARM_DESC(migration, "which migration interface is offered: v2 (default) or v1");

/* A mask of regions, hexadecimal with up to 32 digits, or another number of 64 bits. */
int rr_set_parse(const char *text, rr_set *set)
{
	size_t length = strcspn(text, "\n");
	u64 low, high = 0;
	char head[20];
	int ret;

	if (length > 18 && length <= 34 && !strncasecmp(text, "0x", 2)) {
		strscpy(head, text, length - 16 + 1);
		ret = kstrtou64(head, 16, &high) ?:
		      kstrtou64(text + length - 16, 16, &low);
	} else {
		ret = kstrtou64(text, 0, &low);
	}
	if (!ret)
		*set = (rr_set)high << 64 | low;
	return ret;
}

static int rr_set_param(const char *text, const struct kernel_param *param)
{
	return rr_set_parse(text, param->arg);
}

static int rr_get_param(char *text, const struct kernel_param *param)
{
	rr_set set = *(rr_set *)param->arg;

	return sprintf(text, "0x%llx%016llx\n", RR_HIGH(set), RR_LOW(set));
}

static const struct kernel_param_ops rr_set_ops = {
	.set = rr_set_param,
	.get = rr_get_param,
};

rr_set rr_whole = 0x201;
module_param_cb(whole, &rr_set_ops, &rr_whole, 0644);
MODULE_PARM_DESC(whole, "mask of regions wholly trapped while migrating (default 0x201)");

rr_set rr_partial = 0x4;
module_param_cb(partial, &rr_set_ops, &rr_partial, 0644);
MODULE_PARM_DESC(partial, "mask of regions of which one page is trapped (default 0x4)");

static char *registers = "";
module_param(registers, charp, 0444);
MODULE_PARM_DESC(registers, "BAR:OFFSET:BYTES of registers that migrate with the device (default none)");

uint rr_devregions = 1;
module_param_named(devregions, rr_devregions, uint, 0444);
MODULE_PARM_DESC(devregions, "device-specific regions, from index 9 (default 1, most 118)");

uint rr_timeout_ms = 3000;
module_param_named(timeout_ms, rr_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "longest wait for user space (default 3000)");

bool rr_limp;
module_param_named(limp, rr_limp, bool, 0644);
MODULE_PARM_DESC(limp, "IRQ not enabled: trap by page faults instead of refusing (default 0)");

enum rr_encoding rr_encoding;
bool rr_mig_v1;

static void rr_reset_work(struct work_struct *work)
{
	struct rr_device *rd = container_of(work, struct rr_device, reset_work);

	mutex_lock(&rd->state_mutex);
	spin_lock_irq(&rd->irq_lock);
	rd->resetting = false;
	spin_unlock_irq(&rd->irq_lock);
	if (rd->opened) {
		rr_migration_reset(rd);
		rr_v1_reset(rd);
		rr_leave_saving(rd);
	}
	mutex_unlock(&rd->state_mutex);
}

/*
 * May run under vfio_pci_core's memory_lock, which untrapping takes: a work item
 * does the rest, and our ioctl waits for it.
 */
static void rr_reset_done(struct pci_dev *pdev)
{
	struct rr_device *rd = rr_from_core(dev_get_drvdata(&pdev->dev));
	unsigned long flags;

	spin_lock_irqsave(&rd->irq_lock, flags);
	rd->resetting = true;
	rr_abort_locked(rd, -ECANCELED);
	spin_unlock_irqrestore(&rd->irq_lock, flags);
	schedule_work(&rd->reset_work);
}

static int rr_init_dev(struct vfio_device *vdev)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	int ret;

	init_rwsem(&rd->trap_lock);
	mutex_init(&rd->maps_lock);
	mutex_init(&rd->walk_mutex);
	INIT_LIST_HEAD(&rd->maps);
	mutex_init(&rd->irq_mutex);
	INIT_WORK(&rd->hangup_work, rr_hangup_work);
	INIT_WORK(&rd->signal_work, rr_signal_work);
	INIT_WORK(&rd->reset_work, rr_reset_work);
	spin_lock_init(&rd->irq_lock);
	init_waitqueue_head(&rd->wq);
	mutex_init(&rd->state_mutex);
	spin_lock_init(&rd->fault_lock);
	rd->state = VFIO_DEVICE_STATE_RUNNING;
	rd->v1_index = -1;

	rd->state_mem = vmalloc_user(RR_STATE_SIZE);
	rd->extra_mem = vmalloc_user(max(rr_devregions, 1U) * RR_EXTRA_SIZE);
	ret = -ENOMEM;
	if (!rd->state_mem || !rd->extra_mem)
		goto free_state;
	ret = rr_log_init(rd);
	if (ret)
		goto free_state;
	ret = vfio_pci_core_init_dev(vdev);
	if (ret)
		goto free_log;

	if (!rr_mig_v1) {
		vdev->mig_ops = &rr_migration_ops;
#ifdef RR_DMA_LOGGING
		vdev->log_ops = &rr_dirty_ops;
#endif
		vdev->migration_flags = VFIO_MIGRATION_STOP_COPY |
					VFIO_MIGRATION_P2P;
#ifdef VFIO_MIGRATION_PRE_COPY
		vdev->migration_flags |= VFIO_MIGRATION_PRE_COPY;
#endif
	}
	return 0;

free_log:
	rr_log_free(rd);
free_state:
	vfree(rd->extra_mem);
	vfree(rd->state_mem);
	return ret;
}

static void rr_release_dev(struct vfio_device *vdev)
{
	struct rr_device *rd = rr_from_vfio(vdev);

	vfio_pci_core_release_dev(vdev);
	rr_log_free(rd);
	vfree(rd->extra_mem);
	vfree(rd->state_mem);
}

static int rr_open_device(struct vfio_device *vdev)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	int ret;

	ret = vfio_pci_core_enable(&rd->core);
	if (ret)
		return ret;
	ret = rr_region_setup(rd);
	if (ret) {
		vfio_pci_core_disable(&rd->core);
		return ret;
	}
	vfio_pci_core_finish_enable(&rd->core);

	/* The core's reset at open, not one by this user. */
	flush_work(&rd->reset_work);
	rr_region_masks(rd);

	mutex_lock(&rd->state_mutex);
	mutex_lock(&rd->irq_mutex);
	rd->opened = true;
	mutex_unlock(&rd->irq_mutex);
	mutex_unlock(&rd->state_mutex);
	return 0;
}

/* The last file is closed: no ioctl runs, and no mapping exists. */
static void rr_close_device(struct vfio_device *vdev)
{
	struct rr_device *rd = rr_from_vfio(vdev);

	mutex_lock(&rd->state_mutex);
	rr_irq_disable_all(rd, RR_OFF_CLOSE);
	rr_migration_reset(rd);
	rr_v1_reset(rd);
	rr_leave_saving(rd);

	mutex_lock(&rd->irq_mutex);
	rd->opened = false;
	rd->mask = 0;
	mutex_unlock(&rd->irq_mutex);
	mutex_unlock(&rd->state_mutex);

	cancel_work_sync(&rd->hangup_work);
	cancel_work_sync(&rd->signal_work);
	vfio_pci_core_close_device(vdev);
	cancel_work_sync(&rd->reset_work);
}

static long rr_get_info(struct rr_device *rd, struct vfio_device_info __user *arg)
{
	long ret = vfio_pci_core_ioctl(&rd->core.vdev, VFIO_DEVICE_GET_INFO,
				       (unsigned long)arg);

	if (!ret && rd->mask &&
	    put_user(RR_IRQ_INDEX + rr_irqs(rd), &arg->num_irqs))
		return -EFAULT;
	return ret;
}

static bool rr_is_remap_irq(u32 index)
{
	return index >= RR_IRQ_INDEX && index < RR_IRQ_INDEX + RR_MAX_IRQS;
}

static long rr_ioctl(struct vfio_device *vdev, unsigned int cmd,
		     unsigned long arg)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	void __user *uarg = (void __user *)arg;
	u32 index;
	long ret;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return rr_get_info(rd, uarg);
#ifndef REMAP_HAVE_REGION_INFO_CAPS
	case VFIO_DEVICE_GET_REGION_INFO:
		return rr_get_region_info(rd, uarg);
#endif
	case VFIO_DEVICE_GET_IRQ_INFO:
		if (get_user(index, &((struct vfio_irq_info __user *)uarg)->index))
			return -EFAULT;
		if (rr_is_remap_irq(index))
			return rr_get_irq_info(rd, index - RR_IRQ_INDEX, uarg);
		break;
	case VFIO_DEVICE_SET_IRQS:
		if (get_user(index, &((struct vfio_irq_set __user *)uarg)->index))
			return -EFAULT;
		if (rr_is_remap_irq(index) && index - RR_IRQ_INDEX < rr_irqs(rd))
			return rr_set_irqs(rd, index - RR_IRQ_INDEX, uarg);
		break;
	case VFIO_DEVICE_RESET:
	case VFIO_DEVICE_PCI_HOT_RESET:
		ret = vfio_pci_core_ioctl(vdev, cmd, arg);
		flush_work(&rd->reset_work);
		return ret;
	}
	return vfio_pci_core_ioctl(vdev, cmd, arg);
}

static ssize_t rr_read(struct vfio_device *vdev, char __user *buf, size_t count,
		       loff_t *ppos)
{
	rr_count_access(rr_from_vfio(vdev), *ppos, false);
	return vfio_pci_core_read(vdev, buf, count, ppos);
}

static ssize_t rr_write(struct vfio_device *vdev, const char __user *buf,
			size_t count, loff_t *ppos)
{
#ifdef RR_DMA_LOGGING
	if (VFIO_PCI_OFFSET_TO_INDEX((u64)*ppos) == VFIO_PCI_CONFIG_REGION_INDEX)
		rr_dirty_note(rr_from_vfio(vdev));
#endif
	rr_count_access(rr_from_vfio(vdev), *ppos, true);
	return vfio_pci_core_write(vdev, buf, count, ppos);
}

static const struct vfio_device_ops rr_ops = {
	.name		= RR_NAME,
	.init		= rr_init_dev,
	.release	= rr_release_dev,
	.open_device	= rr_open_device,
	.close_device	= rr_close_device,
	.ioctl		= rr_ioctl,
	.device_feature	= vfio_pci_core_ioctl_feature,
	.read		= rr_read,
	.write		= rr_write,
	.mmap		= rr_mmap,
	.request	= vfio_pci_core_request,
	.match		= vfio_pci_core_match,
#ifdef REMAP_HAVE_REGION_INFO_CAPS
	.get_region_info_caps = rr_get_region_info_caps,
#endif
#ifdef REMAP_HAVE_MATCH_TOKEN_UUID
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#endif
#ifdef REMAP_HAVE_IOMMUFD_OPS
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
#endif
};

static int rr_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct rr_device *rd;
	int ret;

	ret = rr_registers_check(pdev);
	if (ret)
		return ret;
	rd = vfio_alloc_device(rr_device, core.vdev, &pdev->dev, &rr_ops);
	if (IS_ERR(rd))
		return PTR_ERR(rd);

	dev_set_drvdata(&pdev->dev, &rd->core);
	ret = vfio_pci_core_register_device(&rd->core);
	if (ret) {
		vfio_put_device(&rd->core.vdev);
		return ret;
	}
	rr_debugfs_add(rd);
	return 0;
}

static void rr_remove(struct pci_dev *pdev)
{
	struct rr_device *rd = rr_from_core(dev_get_drvdata(&pdev->dev));

	vfio_pci_core_unregister_device(&rd->core);
	cancel_work_sync(&rd->reset_work);
	rr_debugfs_remove(rd);
	vfio_put_device(&rd->core.vdev);
}

static const struct pci_device_id rr_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{}
};
MODULE_DEVICE_TABLE(pci, rr_table);

static const struct pci_error_handlers rr_err_handlers = {
	.reset_done	= rr_reset_done,
	.error_detected	= vfio_pci_core_aer_err_detected,
};

static struct pci_driver rr_driver = {
	.name			= RR_NAME,
	.id_table		= rr_table,
	.probe			= rr_probe,
	.remove			= rr_remove,
	.err_handler		= &rr_err_handlers,
	.driver_managed_dma	= true,
};

static int __init rr_init(void)
{
	int ret;

	if (!strcmp(encoding, "bitmap")) {
		rr_encoding = RR_BITMAP;
	} else if (strcmp(encoding, "vectors")) {
		pr_err("encoding=%s is neither vectors nor bitmap\n", encoding);
		return -EINVAL;
	}
	if (rr_encoding == RR_BITMAP && !rr_eventfd_has_count()) {
		pr_err("encoding=bitmap needs a kernel before v6.8: eventfd_signal() has no count here, so that it cannot carry a bitmap of regions; use encoding=vectors\n");
		return -EOPNOTSUPP;
	}
	if (!strcmp(migration, "v1")) {
		rr_mig_v1 = true;
	} else if (strcmp(migration, "v2")) {
		pr_err("migration=%s is neither v1 nor v2\n", migration);
		return -EINVAL;
	}
	if (rr_devregions > RR_MAX_DEV_REGIONS) {
		pr_err("devregions=%u is more than %u\n", rr_devregions,
		       RR_MAX_DEV_REGIONS);
		return -EINVAL;
	}
	ret = rr_registers_parse(registers);
	if (ret) {
		pr_err("registers=%s is not BAR:OFFSET:BYTES of up to %u bytes in words of 4\n",
		       registers, RR_REGISTERS_MAX);
		return ret;
	}

	rr_debugfs_init();
	ret = pci_register_driver(&rr_driver);
	if (ret)
		rr_debugfs_exit();
	return ret;
}
module_init(rr_init);

static void __exit rr_exit(void)
{
	pci_unregister_driver(&rr_driver);
	rr_debugfs_exit();
}
module_exit(rr_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The remap authors");
MODULE_DESCRIPTION("Reference driver of the remap IRQ on vfio-pci-core");
