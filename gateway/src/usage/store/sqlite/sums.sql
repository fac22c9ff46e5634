-- What version 2 has more. Sums over days, by the codes of the gateway: what a sum is not by is 0 in its row.
CREATE TABLE sums (
    unit INTEGER NOT NULL,
    first INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (unit, first, consumer, route, status, upstream)
) WITHOUT ROWID;

CREATE TABLE sum_amounts (
    unit INTEGER NOT NULL,
    first INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    route INTEGER NOT NULL,
    status INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (unit, first, consumer, route, status, upstream, counter)
) WITHOUT ROWID;

-- Which days are in the sums: from `removed` on and before `ended`.
CREATE TABLE summed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    removed INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
INSERT INTO summed VALUES (1, 0, 0);
