// SPDX-License-Identifier: GPL-2.0
/*
 * Migration v1, the legacy region: user space writes device_state, and that
 * write(2) blocks while user space remaps. Its data section follows the
 * registers at the next page.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

#define RR_V1_DATA	PAGE_SIZE	/* data_offset */
#define RR_V1_WINDOW	RR_STATE_SIZE	/* of the stream at a time */

#define V1_RUNNING	VFIO_DEVICE_STATE_V1_RUNNING
#define V1_SAVING	VFIO_DEVICE_STATE_V1_SAVING
#define V1_RESUMING	VFIO_DEVICE_STATE_V1_RESUMING

struct rr_v1 {
	struct mutex		lock;		/* below state_mutex */
	u32			device_state;	/* and state_mutex to write */
	struct rr_stream	stream;
	size_t			staged;		/* bytes in the window */
};

#define REG(name)	offsetof(struct vfio_device_migration_info, name)

static void rr_v1_stage(struct rr_v1 *v1)
{
	v1->staged = min_t(size_t, RR_V1_WINDOW, v1->stream.len - v1->stream.pos);
}

static u64 rr_v1_read_reg(struct rr_v1 *v1, u64 reg)
{
	switch (reg) {
	case REG(device_state):
		return v1->device_state;
	case REG(pending_bytes):
		if (!(v1->device_state & V1_SAVING))
			return 0;
		/* A further read of data_size: the window has been consumed. */
		v1->stream.pos += v1->staged;
		v1->staged = 0;
		return v1->stream.len - v1->stream.pos;
	case REG(data_offset):
		if (v1->device_state & V1_SAVING)
			rr_v1_stage(v1);
		return RR_V1_DATA;
	case REG(data_size):
		return v1->staged;
	}
	return 0;
}

static ssize_t rr_v1_read(struct rr_v1 *v1, char __user *buf, size_t count,
			  u64 pos)
{
	u64 value;

	if (pos >= RR_V1_DATA) {
		pos -= RR_V1_DATA;
		if (pos + count > v1->staged)
			return -EINVAL;
		return copy_to_user(buf, v1->stream.buf + v1->stream.pos + pos,
				    count) ? -EFAULT : count;
	}
	if ((count != 4 && count != 8) || pos % count ||
	    pos + count > sizeof(struct vfio_device_migration_info))
		return -EINVAL;
	value = rr_v1_read_reg(v1, pos & ~7ULL) >> (8 * (pos & 7));
	return copy_to_user(buf, &value, count) ? -EFAULT : count;
}

static bool rr_v1_allowed(u32 from, u32 to)
{
	if (to > V1_RESUMING || from == to)
		return false;
	if (from == V1_RESUMING)
		return to == V1_RUNNING || to == 0;
	if (to == V1_RESUMING)
		return !(from & V1_SAVING);
	/* _SAVING without _RUNNING does not lead back to _SAVING | _RUNNING. */
	return !(from == V1_SAVING && to == (V1_SAVING | V1_RUNNING));
}

/* state_mutex held; v1->lock not, because of the wait. */
static int rr_v1_change(struct rr_device *rd, struct rr_v1 *v1, u32 to)
{
	u32 from = v1->device_state;
	int ret = 0;

	if (!rr_v1_allowed(from, to))
		return -EINVAL;
	if ((to & V1_SAVING) && !(from & V1_SAVING)) {
		ret = rr_enter_saving(rd);
		if (ret)
			return ret;
	}

	mutex_lock(&v1->lock);
	if (from == V1_RESUMING)
		ret = rr_stream_load(rd, &v1->stream);
	if (!ret) {
		if (!(from & to & V1_SAVING)) {
			rr_stream_reset(&v1->stream);
			v1->staged = 0;
		}
		if (to & V1_SAVING)
			ret = rr_stream_add(rd, &v1->stream,
					    !(to & V1_RUNNING));
	}
	if (!ret)
		WRITE_ONCE(v1->device_state, to);
	mutex_unlock(&v1->lock);

	if ((to & V1_SAVING) ? ret && !(from & V1_SAVING) :
			       !ret && (from & V1_SAVING))
		rr_leave_saving(rd);
	return ret;
}

static ssize_t rr_v1_write_state(struct rr_device *rd, const char __user *buf,
				 size_t count)
{
	struct rr_v1 *v1 = rd->v1;
	int ret;
	u64 seq;
	u32 to;

	if (count != sizeof(to))
		return -EINVAL;
	if (copy_from_user(&to, buf, sizeof(to)))
		return -EFAULT;
	if (mutex_lock_killable(&rd->state_mutex))
		return -EINTR;
	seq = rr_log_begin(rd, &(struct rr_event) {
		.kind = RR_EV_STATE, .a = 1, .v = { v1->device_state, to },
	});
	ret = rr_v1_change(rd, v1, to);
	rr_log_end(rd, seq, ret);
	mutex_unlock(&rd->state_mutex);
	return ret ? ret : count;
}

/* Writes go into the window; a write of data_size sets how much of it is valid. */
static ssize_t rr_v1_write_data(struct rr_v1 *v1, const char __user *buf,
				size_t count, u64 pos)
{
	struct rr_stream *s = &v1->stream;
	u64 size;

	if (v1->device_state != V1_RESUMING)
		return -EINVAL;
	if (pos == REG(data_size) && count == sizeof(size)) {
		if (copy_from_user(&size, buf, sizeof(size)))
			return -EFAULT;
		if (size > RR_V1_WINDOW || size > RR_STREAM_MAX - s->len)
			return -ENOSPC;
		s->len += size;
		return count;
	}
	if (pos < RR_V1_DATA)
		return -EINVAL;
	pos -= RR_V1_DATA;
	if (pos + count > RR_V1_WINDOW || pos + count > RR_STREAM_MAX - s->len)
		return -ENOSPC;
	return copy_from_user(s->buf + s->len + pos, buf, count) ? -EFAULT : count;
}

static ssize_t rr_v1_rw(struct vfio_pci_core_device *core, char __user *buf,
			size_t count, loff_t *ppos, bool iswrite)
{
	struct rr_device *rd = rr_from_core(core);
	struct rr_v1 *v1 = rd->v1;
	u64 pos = *ppos & VFIO_PCI_OFFSET_MASK;
	ssize_t ret;

	if (pos > RR_V1_DATA + RR_V1_WINDOW ||
	    count > RR_V1_DATA + RR_V1_WINDOW - pos)
		return -EINVAL;
	if (iswrite && pos == REG(device_state)) {
		ret = rr_v1_write_state(rd, buf, count);
	} else {
		mutex_lock(&v1->lock);
		ret = iswrite ? rr_v1_write_data(v1, buf, count, pos) :
				rr_v1_read(v1, buf, count, pos);
		mutex_unlock(&v1->lock);
	}
	if (ret > 0)
		*ppos += ret;
	return ret;
}

static void rr_v1_release(struct vfio_pci_core_device *core,
			  struct vfio_pci_region *region)
{
	struct rr_device *rd = rr_from_core(core);

	rr_stream_free(&rd->v1->stream);
	kfree(rd->v1);
	rd->v1 = NULL;
	rd->v1_index = -1;
}

static const struct vfio_pci_regops rr_v1_ops = {
	.rw		= rr_v1_rw,
	.release	= rr_v1_release,
};

/* At open. On error, and on close, the core releases the region. */
int rr_v1_register(struct rr_device *rd)
{
	struct rr_v1 *v1 = kzalloc(sizeof(*v1), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!v1)
		return -ENOMEM;
	mutex_init(&v1->lock);
	v1->device_state = V1_RUNNING;
	ret = rr_stream_init(&v1->stream);
	if (ret)
		goto free;
	rd->v1_index = VFIO_PCI_NUM_REGIONS + rd->core.num_regions;
	ret = vfio_pci_core_register_dev_region(&rd->core,
			VFIO_REGION_TYPE_MIGRATION_DEPRECATED,
			VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED, &rr_v1_ops,
			RR_V1_DATA + RR_V1_WINDOW,
			VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
			v1);
	if (ret)
		goto free_stream;
	rd->v1 = v1;
	return 0;

free_stream:
	rr_stream_free(&v1->stream);
free:
	kfree(v1);
	return ret;
}

/* state_mutex held. */
void rr_v1_reset(struct rr_device *rd)
{
	struct rr_v1 *v1 = rd->v1;

	if (!v1)
		return;
	mutex_lock(&v1->lock);
	rr_stream_reset(&v1->stream);
	v1->staged = 0;
	WRITE_ONCE(v1->device_state, V1_RUNNING);
	mutex_unlock(&v1->lock);
}
