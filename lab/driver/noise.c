// SPDX-License-Identifier: GPL-2.0
/*
 * Signals of an eventfd that belongs to no device, from timer interrupts, as vhost,
 * KVM and other drivers make them. A tracer must neither take them for a device's
 * nor lose a device's records because of them.
 *
 * /sys/kernel/debug/remap_ref/noise: write "FD PERIOD_NS": the eventfd is signalled
 * until "off" is written. A read gives the number of signals since FD was set.
 */
#include <linux/debugfs.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

static DEFINE_MUTEX(rr_noise_mutex);
static struct eventfd_ctx *rr_noise_ctx;
static struct hrtimer rr_noise_timer;
static ktime_t rr_noise_period;
static atomic64_t rr_noise_count;

static enum hrtimer_restart rr_noise_tick(struct hrtimer *timer)
{
	rr_eventfd_signal(rr_noise_ctx, 1);
	atomic64_inc(&rr_noise_count);
	/* Periods that were missed are not made up for. */
	hrtimer_forward_now(timer, rr_noise_period);
	return HRTIMER_RESTART;
}

static void rr_noise_off(void)
{
	if (!rr_noise_ctx)
		return;
	hrtimer_cancel(&rr_noise_timer);
	eventfd_ctx_put(rr_noise_ctx);
	rr_noise_ctx = NULL;
}

static int rr_noise_on(int fd, u64 period_ns)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	rr_noise_off();
	rr_noise_ctx = ctx;
	atomic64_set(&rr_noise_count, 0);
	rr_noise_period = ns_to_ktime(period_ns);
	/*
	 * Neither HARD nor SOFT: in the interrupt itself, and on a PREEMPT_RT kernel in a
	 * thread, since there the lock of an eventfd may sleep.
	 */
	hrtimer_start(&rr_noise_timer, rr_noise_period, HRTIMER_MODE_REL);
	return 0;
}

static ssize_t rr_noise_write(struct file *file, const char __user *buf,
			      size_t count, loff_t *ppos)
{
	char text[64] = {};
	u64 number;
	int fd, ret = -EINVAL;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	mutex_lock(&rr_noise_mutex);
	if (sysfs_streq(text, "off")) {
		rr_noise_off();
		ret = 0;
	} else if (sscanf(text, "%d %llu", &fd, &number) == 2 && number) {
		ret = rr_noise_on(fd, number);
	}
	mutex_unlock(&rr_noise_mutex);
	return ret ? ret : count;
}

static int rr_noise_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%lld\n", atomic64_read(&rr_noise_count));
	return 0;
}

static int rr_noise_open(struct inode *inode, struct file *file)
{
	return single_open(file, rr_noise_show, NULL);
}

static const struct file_operations rr_noise_fops = {
	.owner		= THIS_MODULE,
	.open		= rr_noise_open,
	.read		= seq_read,
	.write		= rr_noise_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

void rr_noise_init(struct dentry *root)
{
	rr_hrtimer_setup(&rr_noise_timer, rr_noise_tick);
	debugfs_create_file("noise", 0600, root, NULL, &rr_noise_fops);
}

void rr_noise_exit(void)
{
	mutex_lock(&rr_noise_mutex);
	rr_noise_off();
	mutex_unlock(&rr_noise_mutex);
}
