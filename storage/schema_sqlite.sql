-- The same table in SQLite, where an "integer primary key" numbers its rows by itself.
CREATE TABLE IF NOT EXISTS device (
    id integer PRIMARY KEY,
    uuid varchar(255),
    mac varchar(255),
    firmware varchar(255),
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
