// SPDX-License-Identifier: GPL-2.0
/*
 * The log: what the driver did and when, independent of every interface that a
 * tracer watches. A ring that overwrites its oldest lines and counts them. A
 * line is added when its action begins and completed when it ends, so that lines
 * are in the order in which the actions began.
 */
#include <linux/debugfs.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "remap_ref.h"

#define RR_LOG_LINES	(1 << 16)

struct rr_log {
	spinlock_t	lock;
	u64		first, next;	/* sequence numbers: oldest line, next line */
	u64		overwritten;
	struct rr_event	ring[RR_LOG_LINES];
};

int rr_log_init(struct rr_device *rd)
{
	rd->log = vzalloc(sizeof(*rd->log));
	if (!rd->log)
		return -ENOMEM;
	spin_lock_init(&rd->log->lock);
	return 0;
}

void rr_log_free(struct rr_device *rd)
{
	vfree(rd->log);
}

static u64 rr_log_add(struct rr_device *rd, const struct rr_event *ev, bool open)
{
	struct rr_log *log = rd->log;
	struct rr_event *slot;
	unsigned long flags;
	u64 now, seq;

	spin_lock_irqsave(&log->lock, flags);
	now = ktime_get_ns();
	seq = log->next++;
	if (seq - log->first >= RR_LOG_LINES) {
		log->first++;
		log->overwritten++;
	}
	slot = &log->ring[seq % RR_LOG_LINES];
	*slot = *ev;
	slot->seq = seq;
	if (!slot->begin)
		slot->begin = now;
	if (open)
		slot->result = RR_PENDING;
	else
		slot->end = now;
	spin_unlock_irqrestore(&log->lock, flags);
	return seq;
}

void rr_log(struct rr_device *rd, const struct rr_event *ev)
{
	rr_log_add(rd, ev, false);
}

u64 rr_log_begin(struct rr_device *rd, const struct rr_event *ev)
{
	return rr_log_add(rd, ev, true);
}

/* Sets what was unknown when the action began. */
void rr_log_fill(struct rr_device *rd, u64 seq, const rr_set v[4])
{
	struct rr_log *log = rd->log;
	struct rr_event *slot = &log->ring[seq % RR_LOG_LINES];
	unsigned long flags;

	spin_lock_irqsave(&log->lock, flags);
	if (seq >= log->first && slot->seq == seq)
		memcpy(slot->v, v, sizeof(slot->v));
	spin_unlock_irqrestore(&log->lock, flags);
}

void rr_log_end(struct rr_device *rd, u64 seq, int result)
{
	struct rr_log *log = rd->log;
	struct rr_event *slot = &log->ring[seq % RR_LOG_LINES];
	unsigned long flags;

	spin_lock_irqsave(&log->lock, flags);
	if (seq >= log->first && slot->seq == seq) {
		slot->end = ktime_get_ns();
		slot->result = result;
	}
	spin_unlock_irqrestore(&log->lock, flags);
}

static const char * const rr_kinds[] = {
	[RR_EV_SIGNAL] = "signal", [RR_EV_REQUERY] = "requery",
	[RR_EV_ACK] = "ack", [RR_EV_WAIT] = "wait", [RR_EV_STATE] = "state",
	[RR_EV_TRAP] = "trap", [RR_EV_UNTRAP] = "untrap",
	[RR_EV_MMAP] = "mmap", [RR_EV_MUNMAP] = "munmap",
	[RR_EV_ENABLE] = "enable", [RR_EV_DISABLE] = "disable",
	[RR_EV_FAULT] = "fault",
};

static const char * const rr_forms[] = { "write", "unmask", "unmask-eventfd" };
static const char * const rr_modes[] = { "whole", "partial", "limp" };
static const char * const rr_reasons[] = { "ioctl", "hangup", "close" };

static const char *rr_state_name(u64 state, bool v1)
{
	static const char * const v2_names[] = {
		"ERROR", "STOP", "RUNNING", "STOP_COPY", "RESUMING",
		"RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P",
	};
	static const char * const v1_names[] = {
		"STOP", "RUNNING", "SAVING", "SAVING|RUNNING", "RESUMING",
	};

	if (v1)
		return state < ARRAY_SIZE(v1_names) ? v1_names[state] : "?";
	return state < ARRAY_SIZE(v2_names) ? v2_names[state] : "?";
}

static void rr_log_result(struct seq_file *m, const struct rr_event *ev)
{
	if (ev->result == RR_PENDING)
		seq_puts(m, " result=pending\n");
	else
		seq_printf(m, " result=%d\n", ev->result);
}

static void rr_log_set(struct seq_file *m, const char *key, rr_set set)
{
	if (RR_HIGH(set))
		seq_printf(m, " %s=0x%llx%016llx", key, RR_HIGH(set), RR_LOW(set));
	else
		seq_printf(m, " %s=0x%llx", key, RR_LOW(set));
}

static void rr_log_print(struct seq_file *m, const struct rr_event *ev)
{
	u64 v[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = RR_LOW(ev->v[i]);
	seq_printf(m, "%llu %llu %llu %s", ev->seq, ev->begin, ev->end,
		   rr_kinds[ev->kind]);
	switch (ev->kind) {
	case RR_EV_SIGNAL:
		if (rr_encoding == RR_BITMAP)
			seq_puts(m, " encoding=bitmap");
		else
			seq_printf(m, " encoding=vectors region=%u", ev->a);
		rr_log_set(m, "bits", ev->v[0]);
		seq_printf(m, " addend=0x%llx irq=%u sub=%u trigger=%llu\n",
			   v[1], ev->a / RR_PER_IRQ, ev->a % RR_PER_IRQ, v[2]);
		break;
	case RR_EV_REQUERY:
		seq_printf(m, " region=%llu flags=0x%llx trapped=%llu areas=%llu",
			   v[0], v[1], v[2], v[3]);
		rr_log_result(m, ev);
		break;
	case RR_EV_ACK:
		seq_printf(m, " form=%s", rr_forms[ev->a]);
		rr_log_set(m, "bits", ev->v[0]);
		seq_printf(m, " ignored=%llu\n", v[1]);
		break;
	case RR_EV_WAIT:
		rr_log_set(m, "bits", ev->v[0]);
		seq_printf(m, " trigger=%llu", v[1]);
		rr_log_set(m, "unacked", ev->v[2]);
		seq_printf(m, " mapped=%llu", v[3]);
		rr_log_result(m, ev);
		break;
	case RR_EV_STATE:
		seq_printf(m, " from=%s to=%s", rr_state_name(v[0], ev->a),
			   rr_state_name(v[1], ev->a));
		rr_log_result(m, ev);
		break;
	case RR_EV_TRAP:
		seq_printf(m, " region=%llu mode=%s zapped=%llu", v[0],
			   rr_modes[ev->a], v[1]);
		rr_log_result(m, ev);
		break;
	case RR_EV_UNTRAP:
		seq_printf(m, " region=%llu mode=%s\n", v[0], rr_modes[ev->a]);
		break;
	case RR_EV_MMAP:
		seq_printf(m, " region=%llu page=%llu pages=%llu by=%s", v[0],
			   v[1], v[2], ev->a ? "copy" : "mmap");
		rr_log_result(m, ev);
		break;
	case RR_EV_MUNMAP:
		seq_printf(m, " region=%llu page=%llu pages=%llu\n", v[0], v[1],
			   v[2]);
		break;
	case RR_EV_ENABLE:
		seq_printf(m, " eventfd=%s irq=%u start=%u count=%llu\n",
			   ev->b ? "unmask" : "trigger", ev->a / RR_PER_IRQ,
			   ev->a % RR_PER_IRQ, v[0]);
		break;
	case RR_EV_DISABLE:
		seq_printf(m, " reason=%s irq=%u start=%u count=%llu\n",
			   rr_reasons[ev->b], ev->a / RR_PER_IRQ,
			   ev->a % RR_PER_IRQ, v[0]);
		break;
	case RR_EV_FAULT:
		seq_printf(m, " name=%s arg=%lld\n", rr_fault_name(v[0]),
			   (s64)v[1]);
		break;
	}
}

/* The snapshot of one reader: the lines at the time of its open(2). */
struct rr_log_view {
	struct rr_device *rd;
	u64 first, next, overwritten;
};

static void *rr_log_start(struct seq_file *m, loff_t *pos)
{
	struct rr_log_view *view = m->private;

	if (!*pos)
		return SEQ_START_TOKEN;
	return view->first + *pos - 1 < view->next ? pos : NULL;
}

static void *rr_log_next(struct seq_file *m, void *it, loff_t *pos)
{
	struct rr_log_view *view = m->private;

	++*pos;
	return view->first + *pos - 1 < view->next ? pos : NULL;
}

static void rr_log_stop(struct seq_file *m, void *it)
{
}

static int rr_log_show(struct seq_file *m, void *it)
{
	struct rr_log_view *view = m->private;
	struct rr_log *log = view->rd->log;
	struct rr_event ev;
	u64 seq;
	bool there;

	if (it == SEQ_START_TOKEN) {
		seq_printf(m, "# overwritten %llu\n", view->overwritten);
		return 0;
	}
	seq = view->first + *(loff_t *)it - 1;
	spin_lock_irq(&log->lock);
	there = seq >= log->first;
	ev = log->ring[seq % RR_LOG_LINES];
	spin_unlock_irq(&log->lock);
	if (there)
		rr_log_print(m, &ev);
	return 0;
}

static const struct seq_operations rr_log_seq_ops = {
	.start	= rr_log_start,
	.next	= rr_log_next,
	.stop	= rr_log_stop,
	.show	= rr_log_show,
};

static int rr_log_open(struct inode *inode, struct file *file)
{
	struct rr_device *rd = inode->i_private;
	struct rr_log *log = rd->log;
	struct rr_log_view *view;

	view = __seq_open_private(file, &rr_log_seq_ops, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->rd = rd;
	spin_lock_irq(&log->lock);
	view->first = log->first;
	view->next = log->next;
	view->overwritten = log->overwritten;
	spin_unlock_irq(&log->lock);
	return 0;
}

static ssize_t rr_log_write(struct file *file, const char __user *buf,
			    size_t count, loff_t *ppos)
{
	struct rr_log_view *view = ((struct seq_file *)file->private_data)->private;
	struct rr_log *log = view->rd->log;

	spin_lock_irq(&log->lock);
	log->first = log->next;
	log->overwritten = 0;
	spin_unlock_irq(&log->lock);
	return count;
}

const struct file_operations rr_log_fops = {
	.owner		= THIS_MODULE,
	.open		= rr_log_open,
	.read		= seq_read,
	.write		= rr_log_write,
	.llseek		= seq_lseek,
	.release	= seq_release_private,
};
