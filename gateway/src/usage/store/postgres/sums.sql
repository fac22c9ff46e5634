-- What version 2 has more. Sums over days, by the codes of the gateway: what a sum is not by is empty in its row.
CREATE TABLE usage_sums (
    unit smallint NOT NULL,
    first date NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    requests bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (unit, first, consumer, route, status, upstream)
);

CREATE TABLE usage_sum_counters (
    unit smallint NOT NULL,
    first date NOT NULL,
    consumer text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    upstream text NOT NULL,
    counter text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (unit, first, consumer, route, status, upstream, counter)
);

-- Which days are in the sums: from `removed` on and before `ended`.
CREATE TABLE usage_summed (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    removed date NOT NULL,
    ended date NOT NULL
);
INSERT INTO usage_summed VALUES (true, DATE '1970-01-01', DATE '1970-01-01');
