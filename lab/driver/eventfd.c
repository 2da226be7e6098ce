// SPDX-License-Identifier: GPL-2.0
/*
 * The eventfds that user space sets. The driver adds a wait queue entry to each: it
 * is called at a write (the ack) and at the last close, and does not change the
 * counter. A virqfd drains it (b1b397aeef81, v5.11) and would consume the trigger.
 *
 * The entry's callback runs under the eventfd's wait queue lock with interrupts
 * off. It only sets marks and wakes; a work item does what may sleep. An
 * entry is removed under that same lock, so none runs once rr_eventfd_put()
 * has removed it; our reference keeps the context, and with it the wait queue,
 * until then.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "remap_ref.h"

/* Whether the current wake-up comes from our own eventfd_signal(). */
static bool rr_own_signal(struct rr_device *rd)
{
	return in_task() && READ_ONCE(rd->signaller) == current;
}

static int rr_eventfd_wake(wait_queue_entry_t *wait, unsigned int mode,
			   int sync, void *key)
{
	struct rr_eventfd *e = container_of(wait, struct rr_eventfd, wait);
	struct rr_device *rd = e->rd;
	__poll_t events = key_to_poll(key);
	unsigned long flags;

	spin_lock_irqsave(&rd->irq_lock, flags);
	if (!e->live)
		goto unlock;
	if (events & EPOLLHUP) {
		e->hup = true;
		if (!e->unmask)
			rr_abort_locked(rd, -ECANCELED);
		schedule_work(&rd->hangup_work);
	} else if ((events & EPOLLIN) && !rr_own_signal(rd)) {
		if (e->unmask)
			rr_ack_locked(rd, RR_BIT(e->slot), RR_ACK_UNMASK_EVENTFD);
		else if (rr_encoding == RR_BITMAP)
			rr_ack_locked(rd, rr_slot_bits(e->slot), RR_ACK_WRITE);
	}
unlock:
	spin_unlock_irqrestore(&rd->irq_lock, flags);
	return 0;
}

static void rr_eventfd_queue(struct file *file, wait_queue_head_t *wqh,
			     poll_table *pt)
{
	struct rr_eventfd *e = container_of(pt, struct rr_eventfd, pt);

	e->wqh = wqh;
	add_wait_queue(wqh, &e->wait);
}

/* The file is held until the eventfd is live, so that no last close is missed. */
struct rr_eventfd *rr_eventfd_get(struct rr_device *rd, int fd, unsigned int slot,
				  bool unmask)
{
	struct rr_eventfd *e;
	struct file *file;

	file = eventfd_fget(fd);
	if (IS_ERR(file))
		return ERR_CAST(file);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e) {
		fput(file);
		return ERR_PTR(-ENOMEM);
	}
	e->rd = rd;
	e->file = file;
	e->ctx = eventfd_ctx_fileget(file);
	e->slot = slot;
	e->unmask = unmask;
	init_waitqueue_func_entry(&e->wait, rr_eventfd_wake);
	init_poll_funcptr(&e->pt, rr_eventfd_queue);
	vfs_poll(file, &e->pt);
	return e;
}

void rr_eventfd_live(struct rr_eventfd *e)
{
	spin_lock_irq(&e->rd->irq_lock);
	e->live = true;
	spin_unlock_irq(&e->rd->irq_lock);
	fput(e->file);
	e->file = NULL;
}

void rr_eventfd_put(struct rr_eventfd *e)
{
	if (!e)
		return;
	remove_wait_queue(e->wqh, &e->wait);
	if (e->file)
		fput(e->file);
	eventfd_ctx_put(e->ctx);
	kfree(e);
}
