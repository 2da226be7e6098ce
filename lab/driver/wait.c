// SPDX-License-Identifier: GPL-2.0
/*
 * The wait of a state change: until every region that was signalled is acked
 * and no mapping of a trapped page is alive. Bounded and killable; ends
 * at once when no process is left that could ack. Holds state_mutex only.
 */
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/wait.h>

#include "remap_ref.h"

/* Whether the user has exited, by the test of pidfd_poll(). */
struct rr_death_watch {
	struct rr_device	*rd;
	struct pid		*pid;
	wait_queue_entry_t	wait;
};

static int rr_death_wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
			 void *key)
{
	rr_event(container_of(wait, struct rr_death_watch, wait)->rd);
	return 0;
}

static void rr_death_watch(struct rr_device *rd, struct rr_death_watch *watch)
{
	watch->rd = rd;
	init_waitqueue_func_entry(&watch->wait, rr_death_wake);
	mutex_lock(&rd->irq_mutex);
	watch->pid = get_pid(rd->user);
	mutex_unlock(&rd->irq_mutex);
	if (watch->pid)
		add_wait_queue(&watch->pid->wait_pidfd, &watch->wait);
}

static void rr_death_unwatch(struct rr_death_watch *watch)
{
	if (watch->pid)
		remove_wait_queue(&watch->pid->wait_pidfd, &watch->wait);
	put_pid(watch->pid);
}

/* 1: done; 0: keep waiting; else the error. Returns what is still missing. */
static int rr_wait_status(struct rr_device *rd, rr_set bits, rr_set *open,
			  bool *mapped)
{
	int error;

	mutex_lock(&rd->irq_mutex);
	spin_lock_irq(&rd->irq_lock);
	*open = (rd->outstanding | rd->queued) & bits;
	error = rd->wait_error;
	spin_unlock_irq(&rd->irq_lock);
	if (!error && rr_user_dead(rd))
		error = -ECANCELED;
	mutex_unlock(&rd->irq_mutex);

	*mapped = rr_maps_conflict(rd);
	if (error)
		return error;
	return !*open && !*mapped;
}

int rr_wait(struct rr_device *rd, rr_set bits, u64 id)
{
	unsigned long end = jiffies + msecs_to_jiffies(READ_ONCE(rr_timeout_ms));
	struct rr_death_watch watch;
	rr_set open;
	bool mapped;
	u64 seq;
	int ret, seen;

	seq = rr_log_begin(rd, &(struct rr_event) {
		.kind = RR_EV_WAIT, .v = { bits, id },
	});
	rr_death_watch(rd, &watch);
	for (;;) {
		long left;

		seen = atomic_read(&rd->events);
		ret = rr_wait_status(rd, bits, &open, &mapped);
		if (ret)
			break;
		left = (long)(end - jiffies);
		if (left <= 0) {
			ret = -ETIMEDOUT;
			break;
		}
		if (wait_event_killable_timeout(rd->wq,
				atomic_read(&rd->events) != seen, left) < 0) {
			ret = -EINTR;
			break;
		}
	}
	rr_death_unwatch(&watch);
	if (ret > 0)
		ret = 0;
	rr_log_fill(rd, seq, (rr_set[4]) { bits, id, open, mapped });
	rr_log_end(rd, seq, ret);
	return ret;
}
