/* The contract, built into the binary. */
    .section .rodata
    .global openapi_json_begin, openapi_json_end
openapi_json_begin:
    .incbin "src/target/openapi.json"
openapi_json_end:
