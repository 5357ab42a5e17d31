/*
 * Inside lib/store: when the breaker of a site is tripped, as a condition on rows of `plan`. The condition on site_id is the
 * statement's own; no table that it joins has columns `kind` or `state`.
 */
#ifndef MIRROR_STORE_STORE_BREAKER_SQL_H
#define MIRROR_STORE_STORE_BREAKER_SQL_H

#define STORE_BREAKER_TRIPPED "kind = 'site' AND state IN ('held', 'refused')"

#endif
