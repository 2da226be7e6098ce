// SPDX-License-Identifier: GPL-2.0
/* GET_IRQ_INFO and SET_IRQS of the remap IRQ, as remap_irq.h defines them. */
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

/* The chain starts at an aligned offset, behind a structure of 20 bytes. */
#define RR_IRQ_HEADER	ALIGN(sizeof(struct remap_irq_info), sizeof(u64))

/* The regions of one IRQ, bit 0 is its base. */
static u64 rr_irq_mask(struct rr_device *rd, unsigned int irq)
{
	return RR_LOW(rd->mask >> (irq * RR_PER_IRQ));
}

/* The remap IRQs of an open device. */
unsigned int rr_irqs(struct rr_device *rd)
{
	if (!rd->mask)
		return 0;
	return RR_HIGH(rd->mask) ? RR_MAX_IRQS : 1;
}

static unsigned int rr_count(struct rr_device *rd, unsigned int irq)
{
	u64 mask = rr_irq_mask(rd, irq);

	return rr_encoding == RR_BITMAP ? !!mask : fls64(mask);
}

/* The regions that an ack of a slot's eventfd acks. */
rr_set rr_slot_bits(unsigned int slot)
{
	if (rr_encoding == RR_BITMAP)
		return (rr_set)U64_MAX << (slot / RR_PER_IRQ * RR_PER_IRQ);
	return RR_BIT(slot);
}

long rr_get_irq_info(struct rr_device *rd, unsigned int irq,
		     struct remap_irq_info __user *arg)
{
	size_t minsz = offsetofend(struct remap_irq_info, count);
	struct remap_irq_info info = {};
	struct remap_irq_info_cap_type *type;
	struct remap_irq_info_cap_regions *regions;
	struct rr_chain chain = {};
	u32 argsz;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || irq >= rr_irqs(rd))
		return -EINVAL;
	argsz = info.argsz;

	info.flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE |
		     VFIO_IRQ_INFO_FLAG_CAPS;
	if (rr_encoding == RR_VECTORS)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	info.count = rr_count(rd, irq);

	type = rr_chain_add(&chain, sizeof(*type), VFIO_IRQ_INFO_CAP_TYPE, 1);
	type->type = REMAP_IRQ_TYPE;
	type->subtype = rr_encoding == RR_BITMAP ? REMAP_IRQ_SUBTYPE_BITMAP :
						   REMAP_IRQ_SUBTYPE_VECTORS;
	regions = rr_chain_add(&chain, sizeof(*regions),
			       REMAP_IRQ_INFO_CAP_REGIONS, 1);
	regions->base = irq * RR_PER_IRQ;
	regions->mask = rr_irq_mask(rd, irq);

	ret = rr_chain_reply(rd, &chain, arg, RR_IRQ_HEADER, RR_F_IRQ,
			     &info.argsz, &info.cap_offset);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, min_t(size_t, argsz, sizeof(info))) ?
	       -EFAULT : 0;
}

/* The process that enabled the IRQ has ended: no ack will come. */
bool rr_user_dead(struct rr_device *rd)
{
	struct task_struct *leader;
	bool dead;

	lockdep_assert_held(&rd->irq_mutex);
	if (!rd->user)
		return true;
	rcu_read_lock();
	leader = pid_task(rd->user, PIDTYPE_TGID);
	dead = !leader || !atomic_read(&leader->signal->live);
	rcu_read_unlock();
	return dead;
}

/* Replace one eventfd; what is outstanding on the old one will not be acked. */
static void rr_replace(struct rr_device *rd, struct rr_eventfd **slot,
		       struct rr_eventfd *e)
{
	struct rr_eventfd *old = *slot;

	*slot = e;
	if (old && !old->unmask) {
		rr_set bits = rr_slot_bits(old->slot);

		spin_lock_irq(&rd->irq_lock);
		old->live = false;
		rd->outstanding &= ~bits;
		rd->queued &= ~bits;
		rd->masked &= ~bits;
		if (!rd->outstanding)
			rd->ignore_acks = false;
		rr_abort_locked(rd, -ECANCELED);
		spin_unlock_irq(&rd->irq_lock);
	}
	rr_eventfd_put(old);
	if (e)
		rr_eventfd_live(e);
}

static void rr_log_irq(struct rr_device *rd, enum rr_kind kind, u32 start,
		       u32 count, u8 b)
{
	rr_log(rd, &(struct rr_event) {
		.kind = kind, .a = start, .b = b, .v = { count },
	});
}

/* irq_mutex held. */
static void rr_irq_disable(struct rr_device *rd, unsigned int irq,
			   enum rr_off_reason why)
{
	unsigned int i, first = irq * RR_PER_IRQ, end = first + rr_count(rd, irq);
	bool any = false;

	for (i = first; i < end; i++) {
		any |= !!rd->trigger[i];
		rr_replace(rd, &rd->trigger[i], NULL);
		rr_replace(rd, &rd->unmask[i], NULL);
	}
	if (any)
		rr_log_irq(rd, RR_EV_DISABLE, first, end - first, why);
}

/* Without any eventfd there is no user. irq_mutex held. */
static void rr_user_gone(struct rr_device *rd)
{
	unsigned int i;

	for (i = 0; i < RR_MAX_SLOTS; i++)
		if (rd->trigger[i])
			return;
	put_pid(rd->user);
	rd->user = NULL;
}

void rr_irq_disable_all(struct rr_device *rd, enum rr_off_reason why)
{
	unsigned int irq;

	mutex_lock(&rd->irq_mutex);
	for (irq = 0; irq < rr_irqs(rd); irq++)
		rr_irq_disable(rd, irq, why);
	rr_user_gone(rd);
	mutex_unlock(&rd->irq_mutex);
}

/* Remove the eventfds whose last file was closed. */
void rr_hangup_work(struct work_struct *work)
{
	struct rr_device *rd = container_of(work, struct rr_device, hangup_work);
	unsigned int i;

	mutex_lock(&rd->irq_mutex);
	for (i = 0; i < RR_MAX_SLOTS; i++) {
		if (rd->trigger[i] && READ_ONCE(rd->trigger[i]->hup)) {
			rr_replace(rd, &rd->trigger[i], NULL);
			rr_log_irq(rd, RR_EV_DISABLE, i, 1, RR_OFF_HANGUP);
		}
		if (rd->unmask[i] && READ_ONCE(rd->unmask[i]->hup))
			rr_replace(rd, &rd->unmask[i], NULL);
	}
	mutex_unlock(&rd->irq_mutex);
}

/* start is a slot. */
static long rr_set_eventfds(struct rr_device *rd, u32 start, u32 count,
			    const s32 *fds, bool unmask)
{
	struct rr_eventfd **new, **slots = unmask ? rd->unmask : rd->trigger;
	long ret = 0;
	bool on = false;
	u32 i;

	new = kcalloc(count, sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		new[i] = rr_eventfd_get(rd, fds[i], start + i, unmask);
		if (IS_ERR(new[i])) {
			ret = PTR_ERR(new[i]);
			new[i] = NULL;
			goto free;
		}
		on = true;
	}

	mutex_lock(&rd->irq_mutex);
	for (i = 0; i < count; i++)
		rr_replace(rd, &slots[start + i], new[i]);
	if (on && !unmask) {
		put_pid(rd->user);
		rd->user = get_task_pid(current, PIDTYPE_TGID);
	}
	if (on)
		rr_log_irq(rd, RR_EV_ENABLE, start, count, unmask);
	else if (!unmask)
		rr_log_irq(rd, RR_EV_DISABLE, start, count, RR_OFF_IOCTL);
	mutex_unlock(&rd->irq_mutex);
	kfree(new);
	return 0;

free:
	while (i--)
		rr_eventfd_put(new[i]);
	kfree(new);
	return ret;
}

/* ACTION_MASK and ACTION_UNMASK without an eventfd; an unmask is an ack. start is a slot. */
static void rr_set_mask(struct rr_device *rd, u32 start, u32 count,
			const u8 *bools, bool unmask)
{
	rr_set bits = 0;
	u32 i;

	for (i = 0; i < count; i++)
		if (!bools || bools[i])
			bits |= RR_BIT(start + i);

	spin_lock_irq(&rd->irq_lock);
	if (unmask)
		rr_ack_locked(rd, bits, RR_ACK_UNMASK);
	else
		rd->masked |= bits;
	spin_unlock_irq(&rd->irq_lock);
}

static long rr_apply_irqs(struct rr_device *rd, unsigned int irq,
			  const struct vfio_irq_set *set, void *data)
{
	u32 start = irq * RR_PER_IRQ + set->start;
	u32 type = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	u32 action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	bool unmask = action == VFIO_IRQ_SET_ACTION_UNMASK;

	if (action == VFIO_IRQ_SET_ACTION_TRIGGER) {
		if (type == VFIO_IRQ_SET_DATA_NONE && !set->count) {
			mutex_lock(&rd->irq_mutex);
			rr_irq_disable(rd, irq, RR_OFF_IOCTL);
			rr_user_gone(rd);
			mutex_unlock(&rd->irq_mutex);
			return 0;
		}
		/* A loop-back by the user would look like a trigger of the driver. */
		if (type != VFIO_IRQ_SET_DATA_EVENTFD || !set->count)
			return -EINVAL;
		return rr_set_eventfds(rd, start, set->count, data, false);
	}
	if (rr_encoding == RR_BITMAP || !set->count)
		return -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!unmask)
			return -EINVAL;
		return rr_set_eventfds(rd, start, set->count, data, true);
	}
	if (!unmask && action != VFIO_IRQ_SET_ACTION_MASK)
		return -EINVAL;
	rr_set_mask(rd, start, set->count, data, unmask);
	return 0;
}

long rr_set_irqs(struct rr_device *rd, unsigned int irq,
		 struct vfio_irq_set __user *arg)
{
	struct vfio_irq_set set;
	void *data = NULL;
	size_t size;
	long ret;

	if (copy_from_user(&set, arg, offsetofend(struct vfio_irq_set, count)))
		return -EFAULT;
	ret = vfio_set_irqs_validate_and_prepare(&set, rr_count(rd, irq),
						 RR_IRQ_INDEX + rr_irqs(rd), &size);
	if (ret)
		return ret;
	if (size) {
		data = memdup_user(&arg->data, size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	ret = rr_apply_irqs(rd, irq, &set, data);
	kfree(data);
	return ret;
}
