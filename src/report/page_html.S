/* The page, built into the binary; $(B)/gen/page.html is what tools/page makes of web/. */
    .section .rodata
    .global page_html_begin, page_html_end
page_html_begin:
    .incbin "page.html"
page_html_end:
