/* SPDX-License-Identifier: GPL-2.0 */
/* The page of report_html.c. */
	.section .rodata
	.globl report_page
report_page:
	.incbin "translator/report.html"
	.byte 0
	.section .note.GNU-stack,"",%progbits
