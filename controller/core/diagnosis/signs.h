#pragma once

#include <initializer_list>
#include <optional>

#include "controller/core/diagnosis/evidence.h"

// The signs that the rules of diagnosis are made of: what the evidence shows, 0 (no trace of it) to 1 (plain to see).
// Pure functions; what no source tells shows nothing.

namespace headroom {

// 0 up to `from`, 1 from `to` on, a ramp between.
double Rise(double value, double from, double to);
double Rise(const std::optional<double>& value, double from, double to);
// The weakest link of a chain; the strongest of several signs.
double All(std::initializer_list<double> links);
double Any(std::initializer_list<double> signs);

// The median or the slowest answers take much longer than usual.
double LatencyUp(const Evidence& e);
double MedianLatencyUp(const Evidence& e);

// Connections are turned away.
double Rejecting(const Evidence& e);
// Slots run out, or would have, had nobody raised the limits.
double SlotsPressed(const Evidence& e);
// Of the slots that are taken most have nothing to do.
double SlotsIdle(const Evidence& e);

// Answers have not grown. Without a past it is half true.
double WorkFlat(const Evidence& e);
// Answers have grown by a small part of what connections have: it is not for them that there are more.
double WorkLags(const Evidence& e);
// Answers have hardly grown, beside connections.
double NothingMoreAsked(const Evidence& e);
// Answers have grown by half of what connections have, or less.
double LittleMoreAsked(const Evidence& e);

// Servers fail what they have let in.
double ErrorsUp(const Evidence& e);
// One node fails, while the others do not.
double OneFails(const Evidence& e);

// The cores are all in use.
double CpuShort(const Evidence& e);
// One node's cores are too few for what an answer costs there.
double OneCpuShort(const Evidence& e);
// An answer costs many times the cores that it used to: whoever tries again does so because of it. Retries alone make
// answers dearer too, by what is abandoned, but not by so much.
double CostUp(const Evidence& e);
// Answers take longer by what they cost more, though there may be cores left.
double CostFelt(const Evidence& e);

// A device that is slow by itself, not because there is so much more to do.
double DeviceSlow(const Evidence& e);
// One node's device is slow, beside the others' and beside what is usual.
double OneDeviceSlow(const Evidence& e);

// Connections grow old unused.
double GrowOld(const Evidence& e);
// One client holds ever more connections, a few do, or they grow old unused.
double LeakSeen(const Evidence& e);

// There are about as many new connections as there are more answers: who gives up closes its own, to try on another.
double ConnectsToAsk(const Evidence& e);
// Each request is tried again and again; or it looks so, where nobody counts: the same clients make many times the
// connections and get more answers.
double RetriesSeen(const Evidence& e);
// The cores that are short serve more answers than usual, at about the usual price.
double BurntByMore(const Evidence& e);

}  // namespace headroom
