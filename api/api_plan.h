/*
 * A held plan as JSON, with its sentences for an administrator: what it is, what allow and what refuse will do, and what was
 * decided. Pure: values in, text out.
 *
 *   {"id", "kind", "state", "site", "route", "mailbox", "to", "reason", "introduces_itself", "open": a person must decide,
 *    "messages" (of kinds subscribers and cos: "entries"): {"total", "open", "removed", "kept", "back"},
 *    "made_age_seconds", "decided_age_seconds", "ended_age_seconds", "decided_by", "decision", "what", "if_allowed", "if_refused", "now"}
 *
 * if_allowed and if_refused are "" where there is nothing (more) to decide; now is how it stands, in a sentence.
 */
#ifndef MIRROR_API_PLAN_H
#define MIRROR_API_PLAN_H

#include "base/config.h"
#include "store/store_plan.h"

#include <cjson/cJSON.h>

/* `route`: the plan's in the configuration, NULL if it is not there (any more), or the plan is a site's. */
cJSON *api_plan_json(const struct store_plan *plan, const struct config_route *route);

/* "plan 12 was allowed by token@10.0.0.1 5 minutes ago: "moved house"", or what else ended it. */
enum { API_PLAN_BYTES = 1400 };
void api_plan_over(const struct store_plan *plan, char text[API_PLAN_BYTES]);

bool api_plan_is_site(const struct store_plan *plan);
/* Its set is of subscribers or of COS. */
bool api_plan_is_directory(const struct store_plan *plan);
/* held; or a site's that was refused: it may still be allowed. */
bool api_plan_is_open(const struct store_plan *plan);

#endif
