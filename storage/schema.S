/* The schema files as NUL-terminated texts; see storage/schema.h. */
        .section .rodata

        .global schema_round1_sql
schema_round1_sql:
        .incbin "storage/schema_round1.sql"
        .byte 0

        .global schema_round2_sql
schema_round2_sql:
        .incbin "storage/schema_round2.sql"
        .byte 0

        .global schema_sqlite_sql
schema_sqlite_sql:
        .incbin "storage/schema_sqlite.sql"
        .byte 0

        .global schema_sqlite_round2_sql
schema_sqlite_round2_sql:
        .incbin "storage/schema_sqlite_round2.sql"
        .byte 0

        .section .note.GNU-stack, "", @progbits
