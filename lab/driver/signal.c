// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's side of the protocol: signals, acks, signals that are due after an
 * ack; and the state changes that need it: the begin and the end of a migration.
 */
#include <linux/delay.h>

#include "remap_ref.h"

/* Wake a waiting state change to check its condition again. Any context. */
void rr_event(struct rr_device *rd)
{
	atomic_inc(&rd->events);
	wake_up(&rd->wq);
}

/* End a running wait with an error. irq_lock held. */
void rr_abort_locked(struct rr_device *rd, int error)
{
	if (rd->waiting && !rd->wait_error)
		rd->wait_error = error;
	rr_event(rd);
}

/* An ack of bits. irq_lock held; may be in a wake-up callback. */
void rr_ack_locked(struct rr_device *rd, rr_set bits, enum rr_ack_form form)
{
	rr_log(rd, &(struct rr_event) {
		.kind = RR_EV_ACK, .a = form,
		.v = { rd->outstanding & bits, rd->ignore_acks },
	});
	if (rd->ignore_acks)
		return;
	rd->outstanding &= ~bits;
	rd->masked &= ~bits;
	if (rd->queued)
		schedule_work(&rd->signal_work);
	rr_event(rd);
}

/* The slot of the eventfd by which a region is signalled. */
static unsigned int rr_slot(unsigned int region)
{
	return rr_encoding == RR_BITMAP ? region / RR_PER_IRQ * RR_PER_IRQ : region;
}

/* Those of the regions whose slot has an eventfd. */
static rr_set rr_heard(struct rr_device *rd, rr_set regions)
{
	unsigned int i;

	for (i = 0; i < RR_MAX_REGIONS; i++)
		if (!rd->trigger[rr_slot(i)])
			regions &= ~RR_BIT(i);
	return regions;
}

/* Whether the IRQ is enabled for all these regions, by a user that still lives. */
bool rr_enabled(struct rr_device *rd, rr_set regions)
{
	lockdep_assert_held(&rd->irq_mutex);
	return !rr_user_dead(rd) && rr_heard(rd, regions) == regions;
}

static void rr_signal_one(struct rr_device *rd, unsigned int slot, rr_set bits,
			  u64 addend)
{
	struct rr_eventfd *e = rd->trigger[slot];
	u64 seq;

	if (!e)
		return;
	seq = rr_log_begin(rd, &(struct rr_event) {
		.kind = RR_EV_SIGNAL, .a = slot,
		.v = { bits, addend, rd->trigger_id },
	});
	WRITE_ONCE(rd->signaller, current);
	rr_eventfd_signal(e->ctx, addend);
	WRITE_ONCE(rd->signaller, NULL);
	rr_log_end(rd, seq, 0);
}

/* Each IRQ has a bitmap of its own, which is outstanding until its ack. */
static void rr_signal_bitmap(struct rr_device *rd, rr_set bits, rr_set extra,
			     bool twice)
{
	unsigned int slot;

	for (slot = 0; slot < RR_MAX_SLOTS; slot += RR_PER_IRQ) {
		rr_set due = bits & rr_slot_bits(slot), all;
		bool now;

		if (!due)
			continue;
		spin_lock_irq(&rd->irq_lock);
		now = !(rd->outstanding & rr_slot_bits(slot));
		if (now)
			rd->outstanding |= due;
		else
			rd->queued |= due;
		spin_unlock_irq(&rd->irq_lock);
		if (!now)
			continue;
		all = due | (extra & rr_slot_bits(slot));
		rr_signal_one(rd, slot, all, RR_LOW(all >> slot));
		if (twice)
			rr_signal_one(rd, slot, all, RR_LOW(all >> slot));
	}
}

static void rr_signal_vectors(struct rr_device *rd, rr_set bits, rr_set extra,
			      bool twice)
{
	rr_set now;
	unsigned int i;

	spin_lock_irq(&rd->irq_lock);
	now = bits & ~(rd->outstanding | rd->masked);
	rd->outstanding |= now;
	rd->queued |= bits & ~now;
	spin_unlock_irq(&rd->irq_lock);
	for (i = 0; i < RR_MAX_SLOTS; i++) {
		if (!((now | extra) & RR_BIT(i)))
			continue;
		rr_signal_one(rd, i, RR_BIT(i), 1);
		if (twice)
			rr_signal_one(rd, i, RR_BIT(i), 1);
	}
}

/* The index of a region that does not exist. */
static rr_set rr_missing(struct rr_device *rd)
{
	unsigned int i;

	if (rr_encoding == RR_BITMAP)
		return RR_BIT(VFIO_PCI_NUM_REGIONS + rd->core.num_regions);
	for (i = RR_DEV_REGION; i--;)
		if (!(rd->mask & RR_BIT(i)) && rd->trigger[i] &&
		    (i == VFIO_PCI_VGA_REGION_INDEX ||
		     (i < VFIO_PCI_ROM_REGION_INDEX && !rr_region_size(rd, i))))
			return RR_BIT(i);
	return 0;
}

/* The bits that armed faults add to a signal. */
static rr_set rr_fault_extra(struct rr_device *rd)
{
	rr_set extra = 0;

	if (rr_fault_take(rd, RR_F_NAME_MISSING, RR_F_ANY, NULL))
		extra |= rr_missing(rd);
	if (rr_fault_take(rd, RR_F_OUTSIDE, RR_F_ANY, NULL))
		extra |= RR_BIT(VFIO_PCI_CONFIG_REGION_INDEX);
	if (rr_fault_take(rd, RR_F_BITS_BEYOND, RR_F_ANY, NULL))
		extra |= RR_BIT(63);
	return extra;
}

/*
 * Signal these regions, each as soon as its last signal is acked. The fault
 * ignore-acks applies only where the timeout or a test recovers the device.
 */
void rr_signal(struct rr_device *rd, rr_set regions, bool may_ignore)
{
	rr_set extra;
	bool twice;

	lockdep_assert_held(&rd->irq_mutex);
	regions = rr_heard(rd, regions);
	if (!regions)
		return;

	rd->trigger_id++;
	twice = rr_fault_take(rd, RR_F_DOUBLE_SIGNAL, RR_F_ANY, NULL);
	extra = rr_fault_extra(rd);
	if (may_ignore && rr_fault_take(rd, RR_F_IGNORE_ACKS, RR_F_ANY, NULL)) {
		spin_lock_irq(&rd->irq_lock);
		rd->ignore_acks = true;
		spin_unlock_irq(&rd->irq_lock);
	}
	if (rr_encoding == RR_BITMAP)
		rr_signal_bitmap(rd, regions, extra, twice);
	else
		rr_signal_vectors(rd, regions, extra, twice);
}

/* Signal what was queued until an ack. */
void rr_signal_work(struct work_struct *work)
{
	struct rr_device *rd = container_of(work, struct rr_device, signal_work);
	rr_set due;

	mutex_lock(&rd->irq_mutex);
	spin_lock_irq(&rd->irq_lock);
	due = rd->queued & ~(rd->outstanding | rd->masked);
	rd->queued &= ~due;
	spin_unlock_irq(&rd->irq_lock);
	if (due) {
		rd->trigger_id++;
		if (rr_encoding == RR_BITMAP)
			rr_signal_bitmap(rd, due, 0, false);
		else
			rr_signal_vectors(rd, due, 0, false);
		rr_event(rd);
	}
	mutex_unlock(&rd->irq_mutex);
}

static void rr_delay(struct rr_device *rd)
{
	long ms;

	if (rr_fault_take(rd, RR_F_DELAY, RR_F_ANY, &ms))
		msleep_interruptible(clamp(ms, 0L, 60000L));
}

/* With name-unchanged armed: a region that may be signalled and stays as it is. */
static rr_set rr_unchanged(struct rr_device *rd, rr_set regions)
{
	rr_set rest = rd->mask & ~(rd->whole | rd->partial | regions);

	if (!rest)
		rest = rd->mask & ~regions;
	if (!rest || !rr_fault_take(rd, RR_F_NAME_UNCHANGED, RR_F_ANY, NULL))
		return 0;
	return RR_HIGH(rest) ? RR_BIT(fls64(RR_HIGH(rest)) + 63) :
			       RR_BIT(fls64(RR_LOW(rest)) - 1);
}

/*
 * debugfs: regions of whole and partial are trapped or untrapped, the others only
 * named. Does not wait.
 */
int rr_trigger(struct rr_device *rd, rr_set regions)
{
	rr_set flip, on;
	int ret = 0;

	mutex_lock(&rd->irq_mutex);
	if (rd->opened && (!regions || (regions & ~rd->mask))) {
		ret = -EINVAL;
		goto unlock;
	}
	if (!rd->opened || !rr_enabled(rd, regions)) {
		ret = -ENODEV;
		goto unlock;
	}
	flip = regions & (rd->whole | rd->partial) & ~rd->limping;
	on = flip & ~rd->trapped;
	rr_untrap(rd, flip & ~on);
	rr_trap(rd, on, false);
	mutex_unlock(&rd->irq_mutex);

	rr_delay(rd);

	mutex_lock(&rd->irq_mutex);
	rr_signal(rd, regions | rr_unchanged(rd, regions), true);
unlock:
	mutex_unlock(&rd->irq_mutex);
	return ret;
}

/* Trap, signal, wait. On error everything is restored. state_mutex held. */
int rr_enter_saving(struct rr_device *rd)
{
	rr_set want = rd->whole | rd->partial, change, bits;
	u64 id;
	int ret;

	if (!want)
		return 0;

	mutex_lock(&rd->irq_mutex);
	if (!rr_enabled(rd, want)) {
		ret = -ENODEV;
		if (rr_limp) {
			rr_trap(rd, want, true);
			ret = 0;
		}
		mutex_unlock(&rd->irq_mutex);
		return ret;
	}
	spin_lock_irq(&rd->irq_lock);
	rd->waiting = true;
	rd->wait_error = rd->resetting ? -ECANCELED : 0;
	spin_unlock_irq(&rd->irq_lock);
	change = want & ~rd->trapped;
	rr_trap(rd, change, false);
	mutex_unlock(&rd->irq_mutex);

	rr_delay(rd);

	mutex_lock(&rd->irq_mutex);
	bits = change | rr_unchanged(rd, change);
	rr_signal(rd, bits, true);
	id = rd->trigger_id;
	mutex_unlock(&rd->irq_mutex);

	ret = rr_wait(rd, bits, id);

	mutex_lock(&rd->irq_mutex);
	spin_lock_irq(&rd->irq_lock);
	rd->waiting = false;
	if (rd->ignore_acks) {
		/* After the fault ignore-acks: make the device usable again. */
		rd->ignore_acks = false;
		rd->outstanding = 0;
		rd->queued = 0;
	}
	spin_unlock_irq(&rd->irq_lock);
	if (ret) {
		rr_untrap(rd, change);
		rr_signal(rd, change, false);
	}
	mutex_unlock(&rd->irq_mutex);
	return ret;
}

/* Untrap and signal, do not wait. state_mutex held. */
void rr_leave_saving(struct rr_device *rd)
{
	rr_set change;

	mutex_lock(&rd->irq_mutex);
	change = rd->trapped;
	rr_untrap(rd, change | rd->limping);
	rr_signal(rd, change, false);
	mutex_unlock(&rd->irq_mutex);
}
