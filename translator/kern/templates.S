/* SPDX-License-Identifier: GPL-2.0 */
/* The compiled bpf/ programs, inside the binary.  The Makefile gives the assembler their directory. */
	.section .rodata
	.balign 16

	.macro template name
	.global template_\name
	.global template_\name\()_end
	.balign 16
template_\name:
	.incbin "\name\().bpf.o"
template_\name\()_end:
	.byte 0
	.endm

	template site_xdp
	template site_tc
	template site_hook
	template dispatch
	template observe
	template clock
	template tables

	.section .note.GNU-stack, "", %progbits
