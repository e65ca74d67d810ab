-- What the second round has besides.
CREATE INDEX IF NOT EXISTS device_uuid ON device (uuid);
