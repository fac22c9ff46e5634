-- What comes for a day that is in the sums, or is taken away, is added to the sums too, whoever does it: also a
-- gateway of the version before. Its role need not know of the sums.
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp AS $$
BEGIN
    INSERT INTO {sums} AS u
    SELECT s.unit, s.first, s.consumer, s.route, s.status, s.upstream, {deltas}
    FROM ({changes}) AS d
    CROSS JOIN usage_summed AS z
    CROSS JOIN LATERAL (VALUES {units}) AS s (unit, first, consumer, route, status, upstream)
    WHERE d.day >= z.removed AND d.day < z.ended
    GROUP BY {key}
    ORDER BY {key}
    ON CONFLICT ({columns}) DO UPDATE SET {add};
    RETURN NULL;
END $$;

CREATE TRIGGER {function} AFTER {event} ON {days} REFERENCING {tables}
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
