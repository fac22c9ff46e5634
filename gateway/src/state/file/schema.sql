CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE plugins (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, floor INTEGER NOT NULL DEFAULT 0);
-- Rate limits: a hash of the key, and when the bucket is full, in nanoseconds since 1970.
CREATE TABLE buckets (
    plugin INTEGER NOT NULL,
    key BLOB NOT NULL,
    full_at INTEGER NOT NULL,
    PRIMARY KEY (plugin, key)
) WITHOUT ROWID;
CREATE INDEX buckets_by_time ON buckets (full_at);
-- Keys and values; without a time they stay.
CREATE TABLE entries (
    plugin INTEGER NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires INTEGER,
    PRIMARY KEY (plugin, key)
) WITHOUT ROWID;
CREATE INDEX entries_by_time ON entries (expires) WHERE expires IS NOT NULL;
