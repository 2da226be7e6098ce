// SPDX-License-Identifier: GPL-2.0
/*
 * Registers that are a part of the device's state: one window of a BAR, given
 * by the parameter registers=BAR:OFFSET:BYTES. With it a guest that wrote a
 * register before a migration reads the same value after it, from another
 * device.
 */
#include <linux/io.h>
#include <linux/pci.h>

#include "remap_ref.h"

static unsigned int rr_reg_bar;
static unsigned long rr_reg_offset;
static unsigned int rr_reg_bytes;

/* BAR:OFFSET:BYTES, as in "0:0x28:4"; empty: none. */
int rr_registers_parse(const char *text)
{
	char end;

	rr_reg_bytes = 0;
	if (!*text)
		return 0;
	if (sscanf(text, "%u:%li:%u%c", &rr_reg_bar, &rr_reg_offset,
		   &rr_reg_bytes, &end) != 3 ||
	    rr_reg_bar >= VFIO_PCI_ROM_REGION_INDEX || !rr_reg_bytes ||
	    rr_reg_bytes > RR_REGISTERS_MAX ||
	    (rr_reg_offset | rr_reg_bytes) % sizeof(u32)) {
		rr_reg_bytes = 0;
		return -EINVAL;
	}
	return 0;
}

/* Whether the device has them. */
int rr_registers_check(struct pci_dev *pdev)
{
	u64 size;

	if (!rr_reg_bytes)
		return 0;
	size = pci_resource_len(pdev, rr_reg_bar);
	if ((pci_resource_flags(pdev, rr_reg_bar) & IORESOURCE_MEM) &&
	    rr_reg_offset < size && rr_reg_bytes <= size - rr_reg_offset)
		return 0;
	pci_err(pdev, "registers=%u:0x%lx:%u are not in this device: BAR %u has 0x%llx bytes of memory\n",
		rr_reg_bar, rr_reg_offset, rr_reg_bytes, rr_reg_bar, size);
	return -EINVAL;
}

size_t rr_registers_size(void)
{
	return rr_reg_bytes;
}

/*
 * Copy between the registers and buf, which is little endian. The user may have
 * turned memory decode off: it is turned on while memory_lock is held. -EIO: the
 * device is in a low power state.
 */
static int rr_registers_copy(struct rr_device *rd, __le32 *buf, bool load)
{
	struct vfio_pci_core_device *core = &rd->core;
	struct pci_dev *pdev = core->pdev;
	void __iomem *regs;
	unsigned int i;
	int ret = 0;
	u16 cmd;

	if (!rr_reg_bytes)
		return 0;
	regs = pci_iomap_range(pdev, rr_reg_bar, rr_reg_offset, rr_reg_bytes);
	if (!regs)
		return -ENOMEM;

	down_write(&core->memory_lock);
	if (core->pm_runtime_engaged || pdev->current_state >= PCI_D3hot) {
		ret = -EIO;
		goto unlock;
	}
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	if (!(cmd & PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND, cmd | PCI_COMMAND_MEMORY);
	for (i = 0; i < rr_reg_bytes / sizeof(u32); i++) {
		if (load)
			iowrite32(le32_to_cpu(buf[i]), regs + i * sizeof(u32));
		else
			buf[i] = cpu_to_le32(ioread32(regs + i * sizeof(u32)));
	}
	if (!(cmd & PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
unlock:
	up_write(&core->memory_lock);
	pci_iounmap(pdev, regs);
	return ret;
}

int rr_registers_save(struct rr_device *rd, void *buf)
{
	return rr_registers_copy(rd, buf, false);
}

int rr_registers_load(struct rr_device *rd, const void *buf)
{
	if (rr_fault_take(rd, RR_F_LOSE_REGISTERS, RR_F_ANY, NULL))
		return 0;
	return rr_registers_copy(rd, (__le32 *)buf, true);
}
