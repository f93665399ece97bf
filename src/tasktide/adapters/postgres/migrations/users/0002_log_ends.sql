-- Nothing to change: the embedded log alone has.
SELECT 1;
