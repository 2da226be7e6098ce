// SPDX-License-Identifier: GPL-2.0
/* /sys/kernel/debug/remap_ref/BDF: trigger, log, stats, fault. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

static struct dentry *rr_root;

static ssize_t rr_trigger_write(struct file *file, const char __user *buf,
				size_t count, loff_t *ppos)
{
	char text[40];
	rr_set regions;
	int ret;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	ret = rr_set_parse(strim(text), &regions);
	if (!ret)
		ret = rr_trigger(file->private_data, regions);
	return ret ? ret : count;
}

static const struct file_operations rr_trigger_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= rr_trigger_write,
};

static void rr_stats_set(struct seq_file *m, const char *key, rr_set set)
{
	if (RR_HIGH(set))
		seq_printf(m, "%s 0x%llx%016llx\n", key, RR_HIGH(set), RR_LOW(set));
	else
		seq_printf(m, "%s 0x%llx\n", key, RR_LOW(set));
}

static int rr_stats_show(struct seq_file *m, void *unused)
{
	struct rr_device *rd = m->private;
	unsigned int i;

	mutex_lock(&rd->irq_mutex);
	seq_printf(m, "open %d\n", rd->opened);
	seq_printf(m, "encoding %s\n",
		   rr_encoding == RR_BITMAP ? "bitmap" : "vectors");
	rr_stats_set(m, "mask", rd->mask);
	rr_stats_set(m, "whole", rd->whole);
	rr_stats_set(m, "partial", rd->partial);
	seq_printf(m, "enabled %d\n",
		   rd->mask && rr_enabled(rd, rd->whole | rd->partial));
	rr_stats_set(m, "trapped", rd->trapped);
	rr_stats_set(m, "limping", rd->limping);
	spin_lock_irq(&rd->irq_lock);
	rr_stats_set(m, "outstanding", rd->outstanding);
	rr_stats_set(m, "queued", rd->queued);
	seq_printf(m, "waiting %d\n", rd->waiting);
	spin_unlock_irq(&rd->irq_lock);
	seq_printf(m, "triggers %llu\n", rd->trigger_id);
	mutex_unlock(&rd->irq_mutex);

	for (i = 0; i < RR_DEV_REGION + rr_devregions + 1; i++) {
		seq_printf(m, "region%u.mappings %d\n", i,
			   atomic_read(&rd->nmaps[i]));
		seq_printf(m, "region%u.trapped_reads %lld\n", i,
			   atomic64_read(&rd->reads[i]));
		seq_printf(m, "region%u.trapped_writes %lld\n", i,
			   atomic64_read(&rd->writes[i]));
		seq_printf(m, "region%u.limp_faults %lld\n", i,
			   atomic64_read(&rd->limp_faults[i]));
		seq_printf(m, "region%u.trapped_faults %lld\n", i,
			   atomic64_read(&rd->sigbus[i]));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(rr_stats);

void rr_debugfs_init(void)
{
	rr_root = debugfs_create_dir(KBUILD_MODNAME, NULL);
	rr_noise_init(rr_root);
}

void rr_debugfs_exit(void)
{
	debugfs_remove_recursive(rr_root);
	rr_noise_exit();
}

void rr_debugfs_add(struct rr_device *rd)
{
	rd->dir = debugfs_create_dir(pci_name(rd->core.pdev), rr_root);
	debugfs_create_file("trigger", 0200, rd->dir, rd, &rr_trigger_fops);
	debugfs_create_file("log", 0600, rd->dir, rd, &rr_log_fops);
	debugfs_create_file("stats", 0400, rd->dir, rd, &rr_stats_fops);
	debugfs_create_file("fault", 0600, rd->dir, rd, &rr_fault_fops);
}

void rr_debugfs_remove(struct rr_device *rd)
{
	debugfs_remove_recursive(rd->dir);
}
