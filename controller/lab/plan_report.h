#pragma once

#include <string>

#include "controller/lab/plan.h"

namespace headroom::lab {

// {name, notes[], per_node, limits[], recommended {min, max, target, limit_ceiling, reasons[], run}, policies[],
// frontier[], rivals[], optimum, past[], loop {time[], demand[], runs[]}}; a run is {name, setting, node_hours_per_day,
// unserved_ratio, short_minutes_per_day, ...}. Times are unix seconds; long series are shortened to what a chart shows.
std::string PlanJson(const PlanReport& report);

// One page that needs nothing beside itself: the same data, drawn.
std::string PlanPage(const PlanReport& report);

// "connections: 4200 of 12 nodes are reached in 43 days (12 with a chance of 5 %)".
std::string LimitSentence(const PlanLimit& limit);

}  // namespace headroom::lab
