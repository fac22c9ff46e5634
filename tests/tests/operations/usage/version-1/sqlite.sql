PRAGMA application_id = 1199011187;
PRAGMA user_version = 1;

CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE minute_rows (
    minute INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (minute, consumer, route, status, upstream)
) WITHOUT ROWID;

CREATE TABLE day_rows (
    day INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (day, consumer, route, status, upstream)
) WITHOUT ROWID;

CREATE TABLE minute_amounts (
    minute INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (minute, consumer, route, status, upstream, counter)
) WITHOUT ROWID;

CREATE TABLE day_amounts (
    day INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (day, consumer, route, status, upstream, counter)
) WITHOUT ROWID;

CREATE VIEW usage_minutes AS
SELECT strftime('%Y-%m-%d %H:%M:00', minute * 60, 'unixepoch') AS minute,
       c.name AS consumer, r.name AS route, status, u.name AS upstream,
       requests, request_bytes, response_bytes, duration_us
FROM minute_rows
JOIN names AS c ON c.id = consumer JOIN names AS r ON r.id = route JOIN names AS u ON u.id = upstream;

CREATE VIEW usage_days AS
SELECT date(day * 86400, 'unixepoch') AS day,
       c.name AS consumer, r.name AS route, status, u.name AS upstream,
       requests, request_bytes, response_bytes, duration_us
FROM day_rows
JOIN names AS c ON c.id = consumer JOIN names AS r ON r.id = route JOIN names AS u ON u.id = upstream;

CREATE VIEW usage_minute_counters AS
SELECT strftime('%Y-%m-%d %H:%M:00', minute * 60, 'unixepoch') AS minute,
       c.name AS consumer, r.name AS route, status, u.name AS upstream, n.name AS counter, amount
FROM minute_amounts
JOIN names AS c ON c.id = consumer JOIN names AS r ON r.id = route JOIN names AS u ON u.id = upstream
JOIN names AS n ON n.id = counter;

CREATE VIEW usage_day_counters AS
SELECT date(day * 86400, 'unixepoch') AS day,
       c.name AS consumer, r.name AS route, status, u.name AS upstream, n.name AS counter, amount
FROM day_amounts
JOIN names AS c ON c.id = consumer JOIN names AS r ON r.id = route JOIN names AS u ON u.id = upstream
JOIN names AS n ON n.id = counter;
