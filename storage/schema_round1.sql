-- The table of the published benchmark, first round: no index besides the primary key.
CREATE TABLE device (
    id serial PRIMARY KEY,
    uuid varchar(255),
    mac varchar(255),
    firmware varchar(255),
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
