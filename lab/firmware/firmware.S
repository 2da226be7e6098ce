# SPDX-License-Identifier: MIT OR Apache-2.0
# The firmware of the lab's virtual machine. No other program runs there. It
# checks that the assigned device keeps its state across a migration.
#
# It places the BARs of the PCI device at 00:05.0, and then, lap after lap, on
# one vCPU without interrupts:
#
#   1. reads two registers of BAR 0 that keep what was written, and compares them
#      with what the last two laps wrote, one in each;
#   2. writes the next number to the older one, reads it again, and compares;
#   3. reads a word of the next of PAGES pages of BAR 2, STRIDE apart, which a
#      VMM that maps the BAR again has to fault in one by one.
#
# A migration that loses, doubles or reorders a write makes 1 or 2 differ. The
# report is at REPORT in RAM, which migrates as well; README.md has its layout. It
# is never reset: the first difference stays. There are two registers because the
# loss of one goes undetected just before it is written; the other one is then
# still to be compared.
#
# Linked to the last 64 KiB below 4 GiB, where a processor starts.

	.set	REGISTERS, 0x28		# two words; NVMe: ASQ, bits 31:0 and 63:32
	.set	DEVICE, 0x80002800	# bus 0, device 5, function 0
	.set	REPORT, 0x1000
	.set	CURSOR, 0xe0000000	# BARs from here
	.set	PAGES, 16
	.set	STRIDE, 0x100000

	.set	MAGIC, 0		# "rmapfirm"
	.set	STATE, 8		# 1 no device, 2 no BAR 0, 3 laps
	.set	LAPS, 12
	.set	VALUE, 16		# of the last lap
	.set	DIFFERENCES, 20
	.set	STEP, 24		# of the first difference: 1 or 2, as above
	.set	EXPECTED, 28
	.set	FOUND, 32
	.set	TOUCHES, 36		# pages read
	.set	BAR0, 40
	.set	BAR2, 44		# 0: the device has none

	.text
	.code16
	.globl	real
real:
	cli
	cs lgdtl gdt_pointer - real
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $protected

	.align	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	# code, flat
	.quad	0x00cf93000000ffff	# data, flat
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.code32
# eax: the value at offset cl of the device's configuration space
read_config:
	call	select_config
	movw	$0xcfc, %dx
	inl	%dx, %eax
	ret

# eax to offset cl
write_config:
	pushl	%eax
	call	select_config
	popl	%eax
	movw	$0xcfc, %dx
	outl	%eax, %dx
	ret

select_config:
	movzbl	%cl, %eax
	orl	$DEVICE, %eax
	movw	$0xcf8, %dx
	outl	%eax, %dx
	ret

protected:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x8000, %esp
	movl	$0x70616d72, REPORT + MAGIC
	movl	$0x6d726966, REPORT + MAGIC + 4

	movb	$0, %cl
	call	read_config
	cmpl	$-1, %eax
	je	no_device

# Each BAR: its size from the bits that stick, then the next aligned address.
	movl	$CURSOR, %edi
	movb	$0x10, %cl
bar:
	movl	$-1, %eax
	call	write_config
	call	read_config
	testl	%eax, %eax
	jz	next_bar
	testb	$1, %al			# I/O ports: left where decode is off
	jnz	next_bar
	movl	%eax, %esi
	andl	$~0xf, %eax
	negl	%eax			# its size
	leal	-1(%edi,%eax), %edi
	movl	%eax, %ebx
	negl	%ebx
	andl	%ebx, %edi		# aligned to it
	pushl	%eax
	movl	%edi, %eax
	call	write_config
	popl	%eax
	cmpb	$0x10, %cl
	jne	1f
	movl	%edi, REPORT + BAR0
1:	cmpb	$0x18, %cl
	jne	1f
	movl	%edi, REPORT + BAR2
1:	addl	%eax, %edi
	testl	$4, %esi
	jz	next_bar
	addb	$4, %cl			# 64 bits: the upper half is 0
	xorl	%eax, %eax
	call	write_config
next_bar:
	addb	$4, %cl
	cmpb	$0x28, %cl
	jb	bar

	cmpl	$0, REPORT + BAR0
	je	no_bar
	movb	$0x04, %cl
	call	read_config
	orl	$2, %eax		# memory; no bus mastering: it does no DMA
	andl	$0xffff, %eax		# the status bits are cleared by ones
	call	write_config

	movl	REPORT + BAR0, %esi
	addl	$REGISTERS, %esi
	movl	$0, (%esi)
	movl	$-1, 4(%esi)
	movl	REPORT + BAR2, %edi
	movl	$3, REPORT + STATE

# An even number is in the first register, an odd one in the second.
lap:
	movl	REPORT + VALUE, %ebx
	movl	$1, %edx
	call	compare
	decl	%ebx
	call	compare
	addl	$2, %ebx
	movl	%ebx, %ecx
	andl	$1, %ecx
	movl	%ebx, (%esi,%ecx,4)
	movl	%ebx, REPORT + VALUE
	movl	$2, %edx
	call	compare

	testl	%edi, %edi
	jz	1f
	movl	%ebx, %ecx
	andl	$PAGES - 1, %ecx
	imull	$STRIDE, %ecx, %ecx
	movl	(%edi,%ecx), %eax
	incl	REPORT + TOUCHES
1:	incl	REPORT + LAPS
	jmp	lap

# Is ebx in its register? If not, step edx has found a difference.
compare:
	movl	%ebx, %ecx
	andl	$1, %ecx
	movl	(%esi,%ecx,4), %eax
	cmpl	%ebx, %eax
	je	1f
	incl	REPORT + DIFFERENCES
	cmpl	$0, REPORT + STEP
	jne	1f
	movl	%edx, REPORT + STEP
	movl	%ebx, REPORT + EXPECTED
	movl	%eax, REPORT + FOUND
1:	ret

no_device:
	movl	$1, REPORT + STATE
	jmp	end
no_bar:
	movl	$2, REPORT + STATE
end:
	hlt
	jmp	end

	.org	0xfff0
	.code16
	jmp	real
	.org	0x10000
