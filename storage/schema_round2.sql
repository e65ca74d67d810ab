-- The table of the published benchmark, second round: a real UUID with an index, times with a zone.
CREATE TABLE device (
    id serial PRIMARY KEY,
    uuid uuid,
    mac varchar(255),
    firmware varchar(255),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX device_uuid ON device (uuid);
