CREATE TABLE IF NOT EXISTS usage_minutes (
    minute timestamptz NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    requests bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (minute, consumer, route, status, upstream)
);

CREATE TABLE IF NOT EXISTS usage_days (
    day date NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    requests bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (day, consumer, route, status, upstream)
);

CREATE TABLE IF NOT EXISTS usage_minute_counters (
    minute timestamptz NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    counter text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (minute, consumer, route, status, upstream, counter)
);

CREATE TABLE IF NOT EXISTS usage_writers (
    writer text PRIMARY KEY,
    batch bigint NOT NULL,
    at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS usage_day_counters (
    day date NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    counter text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (day, consumer, route, status, upstream, counter)
);
