// SPDX-License-Identifier: GPL-2.0
/* Faults that tests arm by name, each for one time or until it is disarmed. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

static const char * const rr_faults[RR_F_COUNT] = {
	[RR_F_DOUBLE_SIGNAL]	= "double-signal",
	[RR_F_IGNORE_ACKS]	= "ignore-acks",
	[RR_F_NAME_UNCHANGED]	= "name-unchanged",
	[RR_F_NAME_MISSING]	= "name-missing",
	[RR_F_OUTSIDE]		= "outside",
	[RR_F_BITS_BEYOND]	= "bits-beyond",
	[RR_F_STALE_SPARSE]	= "stale-sparse",
	[RR_F_DELAY]		= "delay",
	[RR_F_RESIZE]		= "resize",
	[RR_F_CHAIN_LOOP]	= "chain-loop",
	[RR_F_CHAIN_OUTSIDE]	= "chain-outside",
	[RR_F_CHAIN_UNALIGNED]	= "chain-unaligned",
	[RR_F_CHAIN_TRUNCATED]	= "chain-truncated",
	[RR_F_ARGSZ_GROW]	= "argsz-grow",
	[RR_F_AREA_BEYOND]	= "area-beyond",
	[RR_F_AREA_UNALIGNED]	= "area-unaligned",
	[RR_F_LOSE_REGISTERS]	= "lose-registers",
};

const char *rr_fault_name(enum rr_fault f)
{
	return f < RR_F_COUNT ? rr_faults[f] : "?";
}

static bool rr_fault_hit(struct rr_device *rd, enum rr_fault f, long target)
{
	struct rr_armed *a = &rd->faults[f];

	return a->armed &&
	       (target == RR_F_ANY || a->arg == RR_F_ANY || a->arg == target);
}

/* Whether it would fire. */
bool rr_fault_armed(struct rr_device *rd, enum rr_fault f, long target)
{
	unsigned long flags;
	bool hit;

	spin_lock_irqsave(&rd->fault_lock, flags);
	hit = rr_fault_hit(rd, f, target);
	spin_unlock_irqrestore(&rd->fault_lock, flags);
	return hit;
}

/* It fires: log it, and unless it is sticky disarm it. */
bool rr_fault_take(struct rr_device *rd, enum rr_fault f, long target, long *arg)
{
	unsigned long flags;
	long value = 0;
	bool hit;

	if (!READ_ONCE(rd->faults[f].armed))
		return false;
	spin_lock_irqsave(&rd->fault_lock, flags);
	hit = rr_fault_hit(rd, f, target);
	if (hit) {
		value = rd->faults[f].arg;
		if (!rd->faults[f].sticky)
			rd->faults[f].armed = false;
	}
	spin_unlock_irqrestore(&rd->fault_lock, flags);
	if (!hit)
		return false;
	if (arg)
		*arg = value;
	rr_log(rd, &(struct rr_event) {
		.kind = RR_EV_FAULT, .v = { f, value },
	});
	return true;
}

static int rr_fault_show(struct seq_file *m, void *unused)
{
	struct rr_device *rd = m->private;
	unsigned int i;

	for (i = 0; i < RR_F_COUNT; i++) {
		struct rr_armed a;

		spin_lock_irq(&rd->fault_lock);
		a = rd->faults[i];
		spin_unlock_irq(&rd->fault_lock);
		if (!a.armed)
			continue;
		seq_puts(m, rr_faults[i]);
		if (a.arg == RR_F_IRQ)
			seq_puts(m, " irq");
		else if (a.arg != RR_F_ANY)
			seq_printf(m, " %ld", a.arg);
		seq_puts(m, a.sticky ? " sticky\n" : "\n");
	}
	return 0;
}

static void rr_faults_off(struct rr_device *rd)
{
	spin_lock_irq(&rd->fault_lock);
	memset(rd->faults, 0, sizeof(rd->faults));
	spin_unlock_irq(&rd->fault_lock);

	/* Ignored acks are not repeated. */
	spin_lock_irq(&rd->irq_lock);
	if (rd->ignore_acks) {
		rd->ignore_acks = false;
		rd->outstanding = 0;
		rd->queued = 0;
	}
	spin_unlock_irq(&rd->irq_lock);
	rr_event(rd);
}

/* NAME [ARG] [sticky] */
static int rr_fault_arm(struct rr_device *rd, char *line)
{
	char *name = strsep(&line, " "), *word;
	struct rr_armed a = { .armed = true, .arg = RR_F_ANY };
	int f;

	if (!strcmp(name, "off") && !line) {
		rr_faults_off(rd);
		return 0;
	}
	f = match_string(rr_faults, RR_F_COUNT, name);
	if (f < 0)
		return -EINVAL;
	if (rr_encoding == RR_VECTORS && f == RR_F_BITS_BEYOND)
		return -EOPNOTSUPP;
	while ((word = strsep(&line, " "))) {
		if (!*word)
			continue;
		if (!strcmp(word, "sticky"))
			a.sticky = true;
		else if (!strcmp(word, "irq"))
			a.arg = RR_F_IRQ;
		else if (kstrtol(word, 0, &a.arg) || a.arg < 0)
			return -EINVAL;
	}
	if (f == RR_F_DELAY && a.arg < 0)
		return -EINVAL;
	spin_lock_irq(&rd->fault_lock);
	rd->faults[f] = a;
	spin_unlock_irq(&rd->fault_lock);
	return 0;
}

static ssize_t rr_fault_write(struct file *file, const char __user *ubuf,
			      size_t count, loff_t *ppos)
{
	struct rr_device *rd = ((struct seq_file *)file->private_data)->private;
	char line[64];
	int ret;

	if (count >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, ubuf, count))
		return -EFAULT;
	line[count] = '\0';
	ret = rr_fault_arm(rd, strim(line));
	return ret ? ret : count;
}

static int rr_fault_open(struct inode *inode, struct file *file)
{
	return single_open(file, rr_fault_show, inode->i_private);
}

const struct file_operations rr_fault_fops = {
	.owner		= THIS_MODULE,
	.open		= rr_fault_open,
	.read		= seq_read,
	.write		= rr_fault_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};
