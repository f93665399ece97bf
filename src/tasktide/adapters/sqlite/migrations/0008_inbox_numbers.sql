-- Nothing to change: there is one writer here, which numbers notifications in memory.
SELECT 1;
