-- $1..$3 the buckets, $4 the numbers of all of them, $5 how many of them each has.
INSERT INTO @.webhook_stats AS s (seconds, at, endpoint_id, numbers)
SELECT seconds, at, endpoint_id, ($4::bigint[])[(n - 1) * $5::bigint + 1 : n * $5]
FROM unnest($1::integer[], $2::timestamptz[], $3::text[]) WITH ORDINALITY
    AS b (seconds, at, endpoint_id, n)
ORDER BY n
ON CONFLICT (seconds, at, endpoint_id) DO UPDATE SET numbers = ARRAY(
    SELECT coalesce(a, 0) + coalesce(b, 0)
    FROM unnest(s.numbers, excluded.numbers) WITH ORDINALITY AS n (a, b, place) ORDER BY place)
