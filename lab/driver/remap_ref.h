/* SPDX-License-Identifier: GPL-2.0 */
/*
 * remap_ref: the reference driver of the remap IRQ. remap_irq.h is the
 * protocol; this header is what the files of the driver share.
 *
 * Locks, outermost first:
 *
 *   state_mutex   one state change at a time, held while it waits
 *   irq_mutex     eventfds, traps and signals change together
 *   walk_mutex    one walk over the mappings at a time
 *   mmap_lock     of some process: mmap, munmap, page faults come with it
 *   trap_lock     what is trapped; read side in faults and mmap
 *   memory_lock   of vfio_pci_core; and on old kernels its vma_lock before it
 *   maps_lock     the list of mappings
 *   an eventfd's  wait queue lock: our callbacks run under it
 *   irq_lock      signalled, acked, queued
 *   log lock
 *
 * A thread that waits in a state change holds state_mutex only. No call that user
 * space needs for its answer takes that lock.
 */
#ifndef REMAP_REF_H
#define REMAP_REF_H

#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/vfio_pci_core.h>

#include "compat.h"
#include "remap_irq.h"

#define RR_NAME			"remap-ref"
#define RR_IRQ_INDEX		VFIO_PCI_NUM_IRQS
#define RR_DEV_REGION		VFIO_PCI_NUM_REGIONS	/* the first of devregions=N */
#define RR_MAX_REGIONS		128
/* One index is left for the legacy migration region. */
#define RR_MAX_DEV_REGIONS	(RR_MAX_REGIONS - RR_DEV_REGION - 1)

/*
 * A remap IRQ for each 64 regions. An eventfd's slot is the region of its
 * sub-index with vectors, and the IRQ's first region with the bitmap.
 */
#define RR_PER_IRQ		64
#define RR_MAX_IRQS		(RR_MAX_REGIONS / RR_PER_IRQ)
#define RR_MAX_SLOTS		RR_MAX_REGIONS

/* A set of regions: bit n is region n. */
typedef unsigned __int128 rr_set;

#define RR_BIT(n)		((rr_set)1 << (n))
#define RR_LOW(set)		((u64)(set))
#define RR_HIGH(set)		((u64)((set) >> 64))

/* The device-specific region: its kernel memory is a part of the device's state. */
#define RR_REGION_TYPE		(VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x1234)
#define RR_REGION_SUBTYPE	0x5242
#define RR_STATE_SIZE		(8 * PAGE_SIZE)

/* Each further device-specific region; their content is no part of the state. */
#define RR_EXTRA_SIZE		(2 * PAGE_SIZE)

struct rr_device;
struct rr_log;
struct rr_mig_file;
struct rr_v1;

/* ---- parameters: main.c ---- */

enum rr_encoding { RR_VECTORS, RR_BITMAP };

extern enum rr_encoding rr_encoding;
extern bool rr_mig_v1;
extern rr_set rr_whole, rr_partial;
extern bool rr_limp;
extern uint rr_devregions, rr_timeout_ms;

int rr_set_parse(const char *text, rr_set *set);

/* ---- log.c: independent of every traced interface ---- */

enum rr_kind {
	RR_EV_SIGNAL,		/* v: bits, addend, trigger id; a: slot */
	RR_EV_REQUERY,		/* v: region, flags, trapped, areas */
	RR_EV_ACK,		/* v: bits, ignored; a: form */
	RR_EV_WAIT,		/* v: bits, trigger id, unacked, mapped */
	RR_EV_STATE,		/* v: from, to; a: 1 for v1 */
	RR_EV_TRAP,		/* v: region, zapped; a: mode */
	RR_EV_UNTRAP,		/* v: region; a: mode */
	RR_EV_MMAP,		/* v: region, page, pages; a: 1 if by fork or split */
	RR_EV_MUNMAP,		/* v: region, page, pages */
	RR_EV_ENABLE,		/* v: count; a: first slot, b: 1 for unmask */
	RR_EV_DISABLE,		/* v: count; a: first slot, b: reason */
	RR_EV_FAULT,		/* v: fault, argument */
};

enum rr_ack_form { RR_ACK_WRITE, RR_ACK_UNMASK, RR_ACK_UNMASK_EVENTFD };
enum rr_trap_mode { RR_TRAP_WHOLE, RR_TRAP_PARTIAL, RR_TRAP_LIMP };
enum rr_off_reason { RR_OFF_IOCTL, RR_OFF_HANGUP, RR_OFF_CLOSE };

#define RR_PENDING	1	/* result of an action that has not ended */

struct rr_event {
	u64	seq, begin, end;
	u8	kind, a, b;
	s32	result;
	rr_set	v[4];
};

int rr_log_init(struct rr_device *rd);
void rr_log_free(struct rr_device *rd);
void rr_log(struct rr_device *rd, const struct rr_event *ev);
u64 rr_log_begin(struct rr_device *rd, const struct rr_event *ev);
void rr_log_fill(struct rr_device *rd, u64 seq, const rr_set v[4]);
void rr_log_end(struct rr_device *rd, u64 seq, int result);
extern const struct file_operations rr_log_fops;

/* ---- fault.c ---- */

enum rr_fault {
	RR_F_DOUBLE_SIGNAL, RR_F_IGNORE_ACKS, RR_F_NAME_UNCHANGED,
	RR_F_NAME_MISSING, RR_F_OUTSIDE, RR_F_BITS_BEYOND, RR_F_STALE_SPARSE,
	RR_F_DELAY, RR_F_RESIZE, RR_F_CHAIN_LOOP, RR_F_CHAIN_OUTSIDE,
	RR_F_CHAIN_UNALIGNED, RR_F_CHAIN_TRUNCATED, RR_F_ARGSZ_GROW,
	RR_F_AREA_BEYOND, RR_F_AREA_UNALIGNED, RR_F_LOSE_REGISTERS, RR_F_COUNT
};

#define RR_F_ANY	(-1L)	/* target: the first chain */
#define RR_F_IRQ	(-2L)	/* target: GET_IRQ_INFO */

struct rr_armed {
	bool	armed, sticky;
	long	arg;
};

bool rr_fault_take(struct rr_device *rd, enum rr_fault f, long target, long *arg);
bool rr_fault_armed(struct rr_device *rd, enum rr_fault f, long target);
const char *rr_fault_name(enum rr_fault f);
extern const struct file_operations rr_fault_fops;

/* ---- the device ---- */

/* An eventfd that user space has set, and our entry in its wait queue. */
struct rr_eventfd {
	struct rr_device	*rd;
	struct eventfd_ctx	*ctx;
	struct file		*file;	/* until it is live */
	wait_queue_head_t	*wqh;
	wait_queue_entry_t	wait;
	poll_table		pt;
	unsigned int		slot;
	bool			unmask;	/* else the trigger */
	bool			live, hup;	/* irq_lock */
};

struct rr_map {
	struct list_head	node;
	struct vm_area_struct	*vma;
	u64			walked;
};

struct rr_device {
	struct vfio_pci_core_device core;

	/* Chosen when the device is opened, then constant until it is closed. */
	bool			opened;		/* irq_mutex */
	rr_set			mask;		/* regions that may be signalled */
	rr_set			whole, partial;	/* those that are trapped */
	int			v1_index;	/* region index, or -1 */
	u8			*state_mem;	/* RR_STATE_SIZE, vmalloc_user */
	u8			*extra_mem;	/* RR_EXTRA_SIZE for each further region */

	struct rw_semaphore	trap_lock;
	rr_set			trapped;	/* trap_lock, and irq_mutex to write */
	rr_set			limping;	/* likewise */
	rr_set			stale_sparse, resized;	/* likewise, by faults */

	struct mutex		maps_lock;
	struct mutex		walk_mutex;
	struct list_head	maps;
	u64			walk;
	atomic_t		nmaps[RR_MAX_REGIONS];
	const struct vm_operations_struct *core_vm_ops;

	struct mutex		irq_mutex;
	struct rr_eventfd	*trigger[RR_MAX_SLOTS];
	struct rr_eventfd	*unmask[RR_MAX_SLOTS];
	struct pid		*user;		/* the process that enabled the IRQ */
	struct task_struct	*signaller;	/* the task inside our eventfd_signal() */
	u64			trigger_id;
	u64			trap_seq[RR_MAX_REGIONS];	/* of rr_trap() */
	struct work_struct	hangup_work, signal_work, reset_work;

	spinlock_t		irq_lock;
	rr_set			outstanding;	/* signalled, not acked */
	rr_set			queued;		/* due once acked */
	rr_set			masked;		/* by ACTION_MASK */
	bool			ignore_acks;
	bool			waiting;
	bool			resetting;	/* until reset_work has run */
	int			wait_error;

	wait_queue_head_t	wq;
	atomic_t		events;

	struct mutex		state_mutex;
	u32			state;		/* enum vfio_device_mig_state */
	struct rr_mig_file	*saving, *resuming;
	bool			dma_logging;
	unsigned long		mastered;	/* bit 0: since logging began */
	struct rr_v1		*v1;

	spinlock_t		fault_lock;
	struct rr_armed		faults[RR_F_COUNT];

	atomic64_t		reads[RR_MAX_REGIONS], writes[RR_MAX_REGIONS];
	atomic64_t		limp_faults[RR_MAX_REGIONS];
	atomic64_t		sigbus[RR_MAX_REGIONS];

	struct rr_log		*log;
	struct dentry		*dir;
};

static inline struct rr_device *rr_from_core(struct vfio_pci_core_device *core)
{
	return container_of(core, struct rr_device, core);
}

static inline struct rr_device *rr_from_vfio(struct vfio_device *vdev)
{
	return container_of(vdev, struct rr_device, core.vdev);
}

/* ---- region.c ---- */

int rr_region_setup(struct rr_device *rd);
void rr_region_masks(struct rr_device *rd);
u64 rr_region_size(struct rr_device *rd, unsigned int index);
u8 *rr_region_memory(struct rr_device *rd, unsigned int index);
bool rr_in(const rr_set *set, unsigned int index);
unsigned long rr_trap_page(struct rr_device *rd, unsigned int index);
#ifdef REMAP_HAVE_REGION_INFO_CAPS
int rr_get_region_info_caps(struct vfio_device *vdev,
			    struct vfio_region_info *info,
			    struct vfio_info_cap *caps);
#else
long rr_get_region_info(struct rr_device *rd, struct vfio_region_info __user *arg);
#endif
void rr_count_access(struct rr_device *rd, loff_t pos, bool write);

/* ---- chain.c: capability chains, and the faults in them ---- */

struct rr_chain {
	u8	buf[128] __aligned(8);
	u32	size;
	u32	last;		/* offset of the last capability */
};

void *rr_chain_add(struct rr_chain *c, size_t size, u16 id, u16 version);
int rr_chain_reply(struct rr_device *rd, struct rr_chain *c, void __user *base,
		   u32 header, long target, u32 *argsz, u32 *cap_offset);

/* ---- mmap.c, zap.c ---- */

int rr_mmap(struct vfio_device *vdev, struct vm_area_struct *vma);
unsigned int rr_vma_index(struct vm_area_struct *vma);
unsigned long rr_vma_page(struct vm_area_struct *vma);
bool rr_maps_conflict(struct rr_device *rd);
void rr_maps_walk(struct rr_device *rd,
		  bool (*fn)(struct rr_device *rd, struct vm_area_struct *vma,
			     void *data), void *data);
void rr_trap(struct rr_device *rd, rr_set regions, bool limp);
void rr_untrap(struct rr_device *rd, rr_set regions);
vm_fault_t rr_insert_bar(struct rr_device *rd, struct vm_fault *vmf,
			 unsigned int order);

/* ---- irq.c, eventfd.c ---- */

unsigned int rr_irqs(struct rr_device *rd);
rr_set rr_slot_bits(unsigned int slot);
long rr_get_irq_info(struct rr_device *rd, unsigned int irq,
		     struct remap_irq_info __user *arg);
long rr_set_irqs(struct rr_device *rd, unsigned int irq,
		 struct vfio_irq_set __user *arg);
void rr_irq_disable_all(struct rr_device *rd, enum rr_off_reason why);
void rr_hangup_work(struct work_struct *work);
bool rr_user_dead(struct rr_device *rd);

struct rr_eventfd *rr_eventfd_get(struct rr_device *rd, int fd, unsigned int slot,
				  bool unmask);
void rr_eventfd_live(struct rr_eventfd *e);
void rr_eventfd_put(struct rr_eventfd *e);

/* ---- signal.c ---- */

bool rr_enabled(struct rr_device *rd, rr_set regions);
void rr_signal(struct rr_device *rd, rr_set regions, bool may_ignore);
void rr_signal_work(struct work_struct *work);
void rr_ack_locked(struct rr_device *rd, rr_set bits, enum rr_ack_form form);
void rr_abort_locked(struct rr_device *rd, int error);
void rr_event(struct rr_device *rd);
int rr_trigger(struct rr_device *rd, rr_set regions);
int rr_enter_saving(struct rr_device *rd);
void rr_leave_saving(struct rr_device *rd);

/* ---- wait.c ---- */

int rr_wait(struct rr_device *rd, rr_set bits, u64 id);

/* ---- stream.c: the device's state as bytes ---- */

#define RR_STREAM_MAGIC		0x4652504d4552ULL	/* "REMPRF" */
#define RR_STREAM_VERSION	1
#define RR_STREAM_FINAL		(1 << 0)

/* Each record: this header, then length bytes of state. Little endian. */
struct rr_record {
	__le64	magic;
	__le32	version;
	__le32	sequence;	/* 0, 1, … within one stream */
	__le32	flags;		/* FINAL: the last record, which is loaded */
	__le32	device;		/* PCI vendor, and device << 16 */
	__le32	length;
	__le32	crc;		/* crc32 (zlib's) of the state */
};

struct rr_stream {
	u8	*buf;
	size_t	len, pos;
	u32	sequence;
};

#define RR_REGISTERS_MAX 256
#define RR_RECORD_MAX	(sizeof(struct rr_record) + RR_STATE_SIZE + RR_REGISTERS_MAX)
#define RR_STREAM_MAX	(2 * RR_RECORD_MAX)

int rr_stream_init(struct rr_stream *s);
void rr_stream_free(struct rr_stream *s);
void rr_stream_reset(struct rr_stream *s);
size_t rr_record_size(void);
int rr_stream_add(struct rr_device *rd, struct rr_stream *s, bool final);
int rr_stream_load(struct rr_device *rd, struct rr_stream *s);

/* ---- register.c: registers that are a part of the state ---- */

int rr_registers_parse(const char *text);
int rr_registers_check(struct pci_dev *pdev);
size_t rr_registers_size(void);
int rr_registers_save(struct rr_device *rd, void *buf);
int rr_registers_load(struct rr_device *rd, const void *buf);

/* ---- migration.c, migration_v1.c ---- */

extern const struct vfio_migration_ops rr_migration_ops;
void rr_migration_reset(struct rr_device *rd);
int rr_v1_register(struct rr_device *rd);
void rr_v1_reset(struct rr_device *rd);

/* ---- dirty.c ---- */

#ifdef RR_DMA_LOGGING
void rr_dirty_note(struct rr_device *rd);
extern const struct vfio_log_ops rr_dirty_ops;
#endif

/* ---- debugfs.c ---- */

void rr_noise_init(struct dentry *root);
void rr_noise_exit(void);
void rr_debugfs_init(void);
void rr_debugfs_exit(void);
void rr_debugfs_add(struct rr_device *rd);
void rr_debugfs_remove(struct rr_device *rd);

#endif
