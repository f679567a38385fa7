#pragma once

#include <string>

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

// "30m" as a duration of a command; the server bounds it.
absl::StatusOr<google::protobuf::Duration> ParseFor(const std::string& text);

}  // namespace headroom
