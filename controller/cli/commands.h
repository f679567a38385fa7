#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/cli/session.h"

namespace CLI {
class App;
}

// The commands, each by the function that adds it to the program. Running one means: the parser sets session.command,
// and the program calls it. Each returns the server's error; what it prints is data on out and talk on err.

namespace headroom {

void AddStatus(CLI::App& app, Session& session);
void AddNodes(CLI::App& app, Session& session);
void AddNodeCommands(CLI::App& app, Session& session);  // limit, drain, undrain, pin, unpin
void AddDecisions(CLI::App& app, Session& session);     // decisions, watch, undo
void AddExplain(CLI::App& app, Session& session);
void AddHold(CLI::App& app, Session& session);
void AddOverride(CLI::App& app, Session& session);
void AddPolicy(CLI::App& app, Session& session);
void AddReplay(CLI::App& app, Session& session);  // a journal, decided again; needs no server
void AddModes(CLI::App& app, Session& session);   // enable, disable
void AddPlan(CLI::App& app, Session& session);
void AddLab(CLI::App& app, Session& session);       // capacity planning; needs no server
void AddSimulate(CLI::App& app, Session& session);  // a scenario file; needs no server
// Below the group `lab`: needs no server.
void AddLabDetect(CLI::App& lab, Session& session);
void AddLabForecast(CLI::App& lab, Session& session);

// "12 launched, 4 removed, ..." and "34 raised, 10 lowered, ...".
std::string TrialNodes(const v1::Trial& trial);
std::string TrialLimits(const v1::Trial& trial);

// The whole text into a file, for options such as --json.
absl::Status WriteText(const std::string& path, const std::string& text);

// --for: how long a command holds; the server bounds it.
void AddFor(CLI::App& command, std::string& duration);
// What is wrong with "30m" as a duration that is longer than nothing; empty: nothing.
std::string DurationFault(const std::string& text);
// Of a text without a fault.
absl::Duration DurationOf(const std::string& text);

}  // namespace headroom
