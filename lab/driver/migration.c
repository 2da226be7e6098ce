// SPDX-License-Identifier: GPL-2.0
/* Migration v2: the states, and the file that carries the stream. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "remap_ref.h"

struct rr_mig_file {
	struct file		*filp;
	struct mutex		lock;
	struct rr_stream	stream;
	bool			precopy;	/* another record follows */
	bool			ended;		/* the state was left */
};

static ssize_t rr_save_read(struct file *filp, char __user *buf, size_t len,
			    loff_t *pos)
{
	struct rr_mig_file *mf = filp->private_data;
	struct rr_stream *s = &mf->stream;
	ssize_t ret;

	if (pos)
		return -ESPIPE;
	mutex_lock(&mf->lock);
	if (mf->ended) {
		ret = -ENODEV;
	} else if (s->pos == s->len) {
		ret = mf->precopy ? -ENOMSG : 0;
	} else {
		len = min_t(size_t, len, s->len - s->pos);
		ret = -EFAULT;
		if (!copy_to_user(buf, s->buf + s->pos, len)) {
			s->pos += len;
			ret = len;
		}
	}
	mutex_unlock(&mf->lock);
	return ret;
}

static ssize_t rr_resume_write(struct file *filp, const char __user *buf,
			       size_t len, loff_t *pos)
{
	struct rr_mig_file *mf = filp->private_data;
	struct rr_stream *s = &mf->stream;
	ssize_t ret;

	if (pos)
		return -ESPIPE;
	mutex_lock(&mf->lock);
	if (mf->ended) {
		ret = -ENODEV;
	} else if (len > RR_STREAM_MAX - s->len) {
		ret = -ENOSPC;
	} else {
		ret = -EFAULT;
		if (!copy_from_user(s->buf + s->len, buf, len)) {
			s->len += len;
			ret = len;
		}
	}
	mutex_unlock(&mf->lock);
	return ret;
}

#ifdef VFIO_MIGRATION_PRE_COPY
static long rr_save_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	size_t minsz = offsetofend(struct vfio_precopy_info, dirty_bytes);
	struct rr_mig_file *mf = filp->private_data;
	struct vfio_precopy_info info;
	int ret = 0;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	mutex_lock(&mf->lock);
	if (mf->ended)
		ret = -ENODEV;
	else if (!mf->precopy)
		ret = -EINVAL;
	info.flags = 0;
	info.initial_bytes = mf->stream.len - mf->stream.pos;
	info.dirty_bytes = 0;
	mutex_unlock(&mf->lock);
	if (!ret && copy_to_user((void __user *)arg, &info, minsz))
		ret = -EFAULT;
	return ret;
}
#endif

static int rr_mig_release(struct inode *inode, struct file *filp)
{
	struct rr_mig_file *mf = filp->private_data;

	rr_stream_free(&mf->stream);
	mutex_destroy(&mf->lock);
	kfree(mf);
	return 0;
}

static const struct file_operations rr_save_fops = {
	.owner		= THIS_MODULE,
	.read		= rr_save_read,
#ifdef VFIO_MIGRATION_PRE_COPY
	.unlocked_ioctl	= rr_save_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
#endif
	.release	= rr_mig_release,
};

static const struct file_operations rr_resume_fops = {
	.owner		= THIS_MODULE,
	.write		= rr_resume_write,
	.release	= rr_mig_release,
};

static struct rr_mig_file *rr_mig_open(const struct file_operations *fops,
				       int flags)
{
	struct rr_mig_file *mf = kzalloc(sizeof(*mf), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!mf)
		return ERR_PTR(-ENOMEM);
	ret = rr_stream_init(&mf->stream);
	if (ret)
		goto free;
	mutex_init(&mf->lock);
	mf->filp = anon_inode_getfile("remap-ref-mig", fops, mf, flags);
	if (IS_ERR(mf->filp)) {
		ret = PTR_ERR(mf->filp);
		rr_stream_free(&mf->stream);
		goto free;
	}
	stream_open(mf->filp->f_inode, mf->filp);
	/* One reference is ours, the other goes to user space. */
	get_file(mf->filp);
	return mf;

free:
	kfree(mf);
	return ERR_PTR(ret);
}

static void rr_mig_end(struct rr_mig_file **slot)
{
	struct rr_mig_file *mf = *slot;

	if (!mf)
		return;
	*slot = NULL;
	mutex_lock(&mf->lock);
	mf->ended = true;
	mutex_unlock(&mf->lock);
	fput(mf->filp);
}

static struct file *rr_save(struct rr_device *rd, bool precopy)
{
	struct rr_mig_file *mf = rr_mig_open(&rr_save_fops, O_RDONLY);
	int ret;

	if (IS_ERR(mf))
		return ERR_CAST(mf);
	mf->precopy = precopy;
	ret = rr_stream_add(rd, &mf->stream, !precopy);
	if (ret) {
		fput(mf->filp);
		fput(mf->filp);
		return ERR_PTR(ret);
	}
	rd->saving = mf;
	return mf->filp;
}

#ifdef VFIO_MIGRATION_PRE_COPY
/* The stream continues with the state of the stopped device. */
static struct file *rr_save_rest(struct rr_device *rd)
{
	struct rr_mig_file *mf = rd->saving;
	int ret;

	mutex_lock(&mf->lock);
	ret = rr_stream_add(rd, &mf->stream, true);
	if (!ret)
		mf->precopy = false;
	mutex_unlock(&mf->lock);
	return ERR_PTR(ret);
}
#endif

static struct file *rr_resume(struct rr_device *rd)
{
	struct rr_mig_file *mf = rr_mig_open(&rr_resume_fops, O_WRONLY);

	if (IS_ERR(mf))
		return ERR_CAST(mf);
	rd->resuming = mf;
	return mf->filp;
}

static struct file *rr_load(struct rr_device *rd)
{
	int ret;

	mutex_lock(&rd->resuming->lock);
	ret = rr_stream_load(rd, &rd->resuming->stream);
	mutex_unlock(&rd->resuming->lock);
	if (ret)
		return ERR_PTR(ret);
	rr_mig_end(&rd->resuming);
	return NULL;
}

#define ARC(from, to)	((from) << 8 | (to))
#define STATE(name)	VFIO_DEVICE_STATE_##name

/* One arc of the state machine. */
static struct file *rr_step(struct rr_device *rd, u32 to)
{
	switch (ARC(rd->state, to)) {
	case ARC(STATE(RUNNING), STATE(RUNNING_P2P)):
	case ARC(STATE(RUNNING_P2P), STATE(RUNNING)):
	case ARC(STATE(RUNNING_P2P), STATE(STOP)):
	case ARC(STATE(STOP), STATE(RUNNING_P2P)):
		return NULL;
	case ARC(STATE(STOP), STATE(STOP_COPY)):
		return rr_save(rd, false);
	case ARC(STATE(STOP), STATE(RESUMING)):
		return rr_resume(rd);
	case ARC(STATE(RESUMING), STATE(STOP)):
		return rr_load(rd);
	case ARC(STATE(STOP_COPY), STATE(STOP)):
		rr_mig_end(&rd->saving);
		return NULL;
#ifdef VFIO_MIGRATION_PRE_COPY
	case ARC(STATE(RUNNING), STATE(PRE_COPY)):
	case ARC(STATE(RUNNING_P2P), STATE(PRE_COPY_P2P)):
		return rr_save(rd, true);
	case ARC(STATE(PRE_COPY), STATE(RUNNING)):
	case ARC(STATE(PRE_COPY_P2P), STATE(RUNNING_P2P)):
		rr_mig_end(&rd->saving);
		return NULL;
	case ARC(STATE(PRE_COPY), STATE(PRE_COPY_P2P)):
	case ARC(STATE(PRE_COPY_P2P), STATE(PRE_COPY)):
		return NULL;
	case ARC(STATE(PRE_COPY_P2P), STATE(STOP_COPY)):
		return rr_save_rest(rd);
#endif
	}
	return ERR_PTR(-EINVAL);
}

/* The states in which the device migrates and its regions are trapped. */
static bool rr_is_saving(u32 state)
{
#ifdef VFIO_MIGRATION_PRE_COPY
	if (state == STATE(PRE_COPY) || state == STATE(PRE_COPY_P2P))
		return true;
#endif
	return state == STATE(STOP_COPY);
}

static struct file *rr_walk_arcs(struct rr_device *rd, u32 to)
{
	enum vfio_device_mig_state next;
	struct file *filp = NULL;
	int ret;

	while (rd->state != to) {
		ret = vfio_mig_get_next_state(&rd->core.vdev, rd->state, to, &next);
		if (ret) {
			filp = ERR_PTR(ret);
			break;
		}
		filp = rr_step(rd, next);
		if (IS_ERR(filp))
			break;
		WRITE_ONCE(rd->state, next);
	}
	return filp;
}

static struct file *rr_change_state(struct rr_device *rd, u32 to)
{
	bool was = rr_is_saving(rd->state);
	enum vfio_device_mig_state next;
	struct file *filp;
	int ret;

	/* No trap without a valid path to the new state. */
	ret = vfio_mig_get_next_state(&rd->core.vdev, rd->state, to, &next);
	if (ret)
		return ERR_PTR(ret);
	/*
	 * Trap before the first arc, not at the one that needs it, so that a
	 * failed wait leaves the old state in force.
	 */
	if (rr_is_saving(to) && !was) {
		ret = rr_enter_saving(rd);
		if (ret)
			return ERR_PTR(ret);
	}
	filp = rr_walk_arcs(rd, to);
	if ((was || rr_is_saving(to)) && !rr_is_saving(rd->state))
		rr_leave_saving(rd);
	return filp;
}

static struct file *rr_set_state(struct vfio_device *vdev,
				 enum vfio_device_mig_state to)
{
	struct rr_device *rd = rr_from_vfio(vdev);
	struct file *filp;
	u64 seq;

	if (mutex_lock_killable(&rd->state_mutex))
		return ERR_PTR(-EINTR);
	seq = rr_log_begin(rd, &(struct rr_event) {
		.kind = RR_EV_STATE, .v = { rd->state, to },
	});
	filp = rr_change_state(rd, to);
	rr_log_end(rd, seq, PTR_ERR_OR_ZERO(filp));
	mutex_unlock(&rd->state_mutex);
	return filp;
}

/* Does not block on a state change that waits. */
static int rr_get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	*state = READ_ONCE(rr_from_vfio(vdev)->state);
	return 0;
}

#ifdef REMAP_HAVE_MIG_DATA_SIZE
static int rr_get_data_size(struct vfio_device *vdev, unsigned long *length)
{
	*length = rr_record_size();
	return 0;
}
#endif

/* Reset, and the end of the last user. state_mutex held. */
void rr_migration_reset(struct rr_device *rd)
{
	rr_mig_end(&rd->saving);
	rr_mig_end(&rd->resuming);
	WRITE_ONCE(rd->state, STATE(RUNNING));
}

const struct vfio_migration_ops rr_migration_ops = {
	.migration_set_state	= rr_set_state,
	.migration_get_state	= rr_get_state,
#ifdef REMAP_HAVE_MIG_DATA_SIZE
	.migration_get_data_size = rr_get_data_size,
#endif
};
